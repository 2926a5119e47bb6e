"""The generator's own pulse."""

import orjson
import pytest
import trio
import trio.testing

from loadtest.measure.pulse import BEAT_S, CPU_LIMIT, LAG_LIMIT_MS, Pulse, Second, invalid_because
from loadtest.measure.recorder import Recorder

CALM = Second(lag_ms=1, cpu=0.2)


@pytest.mark.parametrize(
    ("bad", "word"), [(Second(1, CPU_LIMIT + 0.01), "core"), (Second(LAG_LIMIT_MS + 1, 0.1), "late")]
)
def test_more_than_a_tenth_of_bad_seconds_is_invalid(bad: Second, word: str) -> None:
    assert invalid_because([bad] + [CALM] * 9) == []
    (sentence,) = invalid_because([bad] * 2 + [CALM] * 9, 3)
    assert word in sentence
    assert "process 3" in sentence
    assert "2 of 11" in sentence


def test_nothing_measured_is_not_invalid() -> None:
    assert invalid_because([]) == []


def gauges(recorder: Recorder) -> dict[str, float]:
    found: dict[str, float] = orjson.loads(recorder.take(1))["gauges"]
    return found


def test_a_second_has_its_worst_beat_and_its_share_of_a_core() -> None:
    recorder = Recorder()
    pulse = Pulse(recorder)
    pulse.second(1_000_000_000, 100)
    pulse.beat(0.004)
    pulse.beat(0.150)
    pulse.second(2_000_000_000, 250_000_100)
    assert gauges(recorder) == {"lag_ms": 150.0, "cpu": 0.25}
    pulse.second(3_000_000_000, 250_000_100)
    assert gauges(recorder) == {"lag_ms": 0.0, "cpu": 0.0}


async def test_a_beat_that_comes_late_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[float] = []
    clock = trio.testing.MockClock()
    monkeypatch.setattr(trio, "current_time", clock.current_time)
    monkeypatch.setattr(Pulse, "beat", lambda self, late_s: late.append(late_s))

    async def sleep_until(due: float) -> None:
        clock.jump(max(0.0, due - clock.current_time()) + (0.5 if len(late) == 2 else 0.0))
        await trio.lowlevel.checkpoint()
        if len(late) == 5:
            scope.cancel()
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(trio, "sleep_until", sleep_until)
    with trio.CancelScope() as scope:
        await Pulse(Recorder()).run()
    assert late == pytest.approx([0, 0, 0.5, 0, 0])
    assert BEAT_S < 0.05
