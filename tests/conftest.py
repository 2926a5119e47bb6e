"""Options of the test run, and how Hypothesis searches: anew in every run, printing what is needed to repeat a find."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from livehub.rooms import leavers

KILL_ROUNDS = 5
EXAMPLES = 100
STALL_MIB = 32
ATTENDEES = 200
ATTEND_S = 8
GUESTS = 200


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long to look: `make test` takes the defaults, `make long` much more."""
    group = parser.getgroup("livehub")
    group.addoption("--kill-rounds", type=int, default=KILL_ROUNDS, help="rounds of kill -9 under load")
    group.addoption("--examples", type=int, default=EXAMPLES, help="examples that Hypothesis tries per property")
    group.addoption("--attendees", type=int, default=ATTENDEES, help="people in a lively session")
    group.addoption("--attend-s", type=int, default=ATTEND_S, help="seconds that a lively session lasts")
    group.addoption("--guests", type=int, default=GUESTS, help="guests who vote in a live poll")
    group.addoption(
        "--guests-p95-ms", type=float, default=0.0, help="longest that 95%% of their events may take; 0: any"
    )
    group.addoption("--stall-mib", type=int, default=STALL_MIB, help="MiB sent to each reader beside a stalled one")


def pytest_configure(config: pytest.Config) -> None:
    """Register markers and Hypothesis' profile."""
    config.addinivalue_line("markers", "deadline_s(seconds): when the watchdog of an end-to-end test bites")
    settings.register_profile(
        "livehub",
        max_examples=config.getoption("--examples"),
        deadline=None,
        derandomize=False,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("livehub")


@pytest.fixture(params=["remembered", "from the log"])
def leavers_known(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever left a moment ago is remembered, or not: nothing that can be seen may depend on it."""
    if request.param == "from the log":
        monkeypatch.setattr(leavers, "LEAVERS_MAX", 0)
