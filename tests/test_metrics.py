"""The page shows what was counted, in series that no client can add to."""

from __future__ import annotations

import trio
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock, wait_all_tasks_blocked

from livehub import __version__
from livehub.metrics import CLOSES, REFUSALS, Metrics
from livehub.ports import Meter


def samples(metrics: Metrics) -> dict[str, float]:
    """`name{label}` → value."""
    body, kind = metrics.render()
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_metrics_are_a_meter() -> None:
    meter: Meter = Metrics()
    meter.slow_closed()


def test_connections_are_counted_by_transport() -> None:
    metrics = Metrics()
    metrics.connection_opened("polling")
    metrics.connection_opened("polling")
    metrics.connection_opened("websocket")
    metrics.connection_moved("polling", "websocket")
    metrics.connection_closed("websocket", "slow")
    found = samples(metrics)
    assert found["livehub_connections{polling}"] == 1
    assert found["livehub_connections{websocket}"] == 1
    assert found["livehub_connections_opened_total{polling}"] == 2
    assert found["livehub_connections_closed_total{slow}"] == 1


def test_sockets_are_counted_by_namespace() -> None:
    metrics = Metrics()
    metrics.namespace_joined("/events")
    metrics.namespace_joined("/events")
    metrics.namespace_left("/events")
    assert samples(metrics)["livehub_sockets{/events}"] == 1


def test_broadcasts_and_slow_readers_are_counted() -> None:
    metrics = Metrics()
    metrics.fanned_out(10, 3_650)
    metrics.fanned_out(5, 100)
    metrics.slow_closed()
    found = samples(metrics)
    assert found["livehub_fanout_frames_total"] == 15
    assert found["livehub_fanout_bytes_total"] == 3_750
    assert found["livehub_slow_closes_total"] == 1


def test_commits_fill_the_buckets_of_their_time() -> None:
    metrics = Metrics()
    metrics.committed(3, 0.002)
    metrics.committed(1, 5.0)
    found = samples(metrics)
    assert found["livehub_facts_total"] == 4
    assert found["livehub_commit_seconds_bucket{0.001}"] == 0
    assert found["livehub_commit_seconds_bucket{0.0025}"] == 1
    assert found["livehub_commit_seconds_bucket{+Inf}"] == 2


def test_unknown_reasons_share_one_series() -> None:
    metrics = Metrics()
    metrics.connection_opened("websocket")
    before = set(samples(metrics))
    metrics.refused("rate_limited")
    metrics.refused("made up")
    metrics.refused("made up too")
    metrics.connection_closed("websocket", "made up")
    found = samples(metrics)
    assert found["livehub_refusals_total{rate_limited}"] == 1
    assert found["livehub_refusals_total{other}"] == 2
    assert found["livehub_connections_closed_total{other}"] == 1
    assert set(found) == before


def test_every_reason_is_there_from_the_start() -> None:
    found = samples(Metrics())
    assert all(found[f"livehub_refusals_total{{{reason}}}"] == 0 for reason in REFUSALS)
    assert all(found[f"livehub_connections_closed_total{{{reason}}}"] == 0 for reason in CLOSES)


def test_gauges_are_read_when_the_page_is_made() -> None:
    metrics = Metrics()
    outbox = [7]
    metrics.gauge("outbox_bytes", "Bytes waiting", lambda: outbox[0])
    metrics.rooms_open(3)
    outbox[0] = 9
    found = samples(metrics)
    assert found["livehub_outbox_bytes"] == 9
    assert found["livehub_rooms"] == 3


def test_the_process_and_the_version_are_shown() -> None:
    found = samples(Metrics())
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert found["process_open_fds"] > 0
    assert "process_cpu_seconds_total" in found
    assert found[f"livehub_build_info{{{__version__}}}"] == 1


def test_names_start_with_livehub_or_process_and_nothing_tells_when_it_was_made() -> None:
    for name in samples(Metrics()):
        assert name.startswith(("livehub_", "process_"))
        assert "_created" not in name


def test_two_hubs_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.slow_closed()
    assert samples(other)["livehub_slow_closes_total"] == 0


async def test_a_late_loop_is_seen(mock_clock: MockClock) -> None:
    metrics = Metrics()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(metrics.watch_loop, 0.5)
        await wait_all_tasks_blocked()
        mock_clock.jump(0.5)
        await wait_all_tasks_blocked()
        assert metrics.lag_s == 0
        mock_clock.jump(2.5)
        await wait_all_tasks_blocked()
        assert metrics.lag_s == 2.0
        found = samples(metrics)
        assert found["livehub_loop_lag_worst_seconds"] == 2.0
        assert found["livehub_loop_lag_seconds_count"] == 2
        assert found["livehub_loop_lag_seconds_bucket{1.0}"] == 1
        nursery.cancel_scope.cancel()
