"""The server's numbers beside the clients'."""

import re

import pytest

from loadtest.report import serverside
from tests.loadtest.sample import metric


def cells(table: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2])
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]


def test_both_sides_are_summed_over_labels_and_compared() -> None:
    server = [
        metric('livehub_connections_opened_total{transport="websocket"}', 5, 104),
        metric('livehub_connections_opened_total{transport="polling"}', 0, 1),
        metric("livehub_fanout_frames_total", 0, 40),
    ]
    counters = {"connects": 100, "delivered.a": 30, "delivered.b": 20, "delivered": 7}
    assert cells(serverside.sides_table(counters, server)) == [
        ["Connections opened", "100", "100", "100 %"],
        ["Pushes heard, frames broadcast", "50", "40", "80.00 %"],
    ]


def test_what_only_the_server_counted_is_not_compared_with_nothing() -> None:
    table = serverside.sides_table({}, [metric("livehub_fanout_bytes_total", 0, 40)])
    assert cells(table) == [["Bytes read, bytes broadcast", "–", "40", "–"]]


def test_a_server_with_other_metrics_has_no_such_table() -> None:
    assert serverside.sides_table({"connects": 100}, [metric("other_total", 0, 1)]) == ""
    assert serverside.spreads_table([]) == serverside.changes_table([]) == ""


def test_a_histogram_is_one_row_of_what_happened_during_the_run() -> None:
    server = [
        metric('work_seconds_bucket{kind="a",le="0.001"}', 10, 60),
        metric('work_seconds_bucket{kind="a",le="0.01"}', 10, 109),
        metric('work_seconds_bucket{kind="a",le="+Inf"}', 10, 110),
        metric('work_seconds_count{kind="a"}', 10, 110),
        metric('work_seconds_sum{kind="a"}', 5.0, 5.2),
    ]
    assert cells(serverside.spreads_table(server)) == [
        ["work_seconds{kind=&quot;a&quot;}", "100", "2.00 ms", "≤ 1 ms", "≤ 10 ms"]
    ]
    assert serverside.changes_table(server) == ""


@pytest.mark.parametrize(("count", "rows"), [(0, []), (4, [["size", "4", "25", "≤ 20", "beyond the buckets"]])])
def test_values_beyond_the_last_bucket_are_called_that(count: int, rows: list[list[str]]) -> None:
    server = [
        metric('size_bucket{le="20.0"}', 0, count / 2),
        metric('size_bucket{le="+Inf"}', 0, count),
        metric("size_count", 0, count),
        metric("size_sum", 0, 25 * count),
    ]
    assert cells(serverside.spreads_table(server)) == rows


def test_only_metrics_that_changed_are_listed() -> None:
    server = [metric("moved_total", 1, 3), metric("still_total", 4, 4), metric("letters_sum", 0, 1)]
    assert [row[0] for row in cells(serverside.changes_table(server))] == ["moved_total", "letters_sum"]
