"""The generator's own pulse."""

import orjson
import pytest
import trio
import trio.testing

from loadtest.measure.pulse import BEAT_S, CPU_LIMIT, LAG_LIMIT_MS, Limits, Pulse, Second, invalid_because
from loadtest.measure.recorder import Recorder

CALM = Second(lag_ms=1, cpu=0.2)


@pytest.mark.parametrize(
    ("bad", "word"), [(Second(1, CPU_LIMIT + 0.01), "core"), (Second(LAG_LIMIT_MS + 1, 0.1), "late")]
)
def test_more_than_a_tenth_of_bad_seconds_is_invalid(bad: Second, word: str) -> None:
    assert invalid_because([bad] * 2 + [CALM] * 18) == []
    (sentence,) = invalid_because([bad] * 3 + [CALM] * 18, 3)
    assert word in sentence
    assert "process 3" in sentence
    assert "3 of 21" in sentence


@pytest.mark.parametrize("bad", [Second(1, CPU_LIMIT + 0.01), Second(LAG_LIMIT_MS + 1, 0.1)])
def test_one_bad_second_voids_a_short_run_only_if_there_is_no_other(bad: Second) -> None:
    assert invalid_because([bad, CALM, CALM]) == []
    assert len(invalid_because([bad, CALM, bad])) == 1
    assert len(invalid_because([bad])) == 1


def test_limits_may_be_set() -> None:
    seconds = [Second(lag_ms=500, cpu=0.95)] * 5
    assert len(invalid_because(seconds)) == 2
    assert invalid_because(seconds, limits=Limits(cpu=0.96, lag_ms=501)) == []
    (sentence,) = invalid_because(seconds, limits=Limits(cpu=0.9, lag_ms=501))
    assert "more than 90%" in sentence


def test_nothing_measured_is_not_invalid() -> None:
    assert invalid_because([]) == []


def seconds_of(recorder: Recorder) -> list[list[float]]:
    found: list[list[float]] = orjson.loads(recorder.take(1))["seconds"]
    return found


def test_a_second_has_its_worst_beat_and_its_share_of_a_core() -> None:
    recorder = Recorder()
    pulse = Pulse(recorder)
    pulse.second(1_000_000_000, 100, 7)
    pulse.beat(0.004)
    pulse.beat(0.150)
    pulse.second(2_000_000_000, 250_000_100, 400_000_007)
    assert seconds_of(recorder)[-1] == [150.0, 0.25, 0.4]
    pulse.second(3_000_000_000, 250_000_100, 400_000_007)
    assert seconds_of(recorder) == [[0.0, 0.0, 0.0]]


def test_a_second_is_closed_by_the_sample_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0, 100, 950, 950, 1_100, 2_000, 2_000])
    monkeypatch.setattr("loadtest.measure.pulse.time.monotonic_ns", lambda: next(times) * 1_000_000)
    recorder = Recorder()
    pulse = Pulse(recorder)
    told = []
    for _ in range(4):
        pulse.tell()
        told.append(len(seconds_of(recorder)))
    assert told == [0, 1, 0, 1]


def test_waiting_for_a_core_counts_as_busy_and_the_advice_is_another() -> None:
    (own,) = invalid_because([Second(lag_ms=1, cpu=0.7, wait=0.2)] * 5)
    assert own.endswith("use more processes or fewer users")
    (others,) = invalid_because([Second(lag_ms=1, cpu=0.25, wait=0.6)] * 5)
    assert "60% of the time others had the core" in others
    assert "--affinity" in others
    assert invalid_because([Second(lag_ms=1, cpu=0.25, wait=0.3)] * 5) == []


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
