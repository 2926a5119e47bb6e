"""Which charts a run gets, and how a long one is thinned out."""

from collections.abc import Sequence

import attrs
import pytest

from loadtest.measure.histograms import Distribution
from loadtest.report.charts import Chart
from loadtest.report.plots import Row, distribution, over_time, thin
from tests.loadtest.sample import sample


def rows(seconds: int = 60) -> Sequence[Row]:
    return [attrs.asdict(moment) for moment in sample(seconds).timeline]


def titled(charts: Sequence[Chart], start: str) -> Chart:
    return next(chart for chart in charts if chart.title.startswith(start))


def spread(*values: int) -> Distribution:
    made = Distribution()
    for value in values:
        made.record(value)
    return made


def test_a_short_run_keeps_every_second() -> None:
    assert thin(rows(60), most=60) == (rows(60), 1)
    assert thin([], most=60) == ([], 1)


def test_a_long_run_keeps_its_worst_latencies_and_its_mean_rates() -> None:
    long: list[Row] = [
        {"t": float(t), "users": t, "sent": 10 * t, "fanout_p99": None if t % 2 else t * 1000, "ack_p99": None}
        for t in range(8)
    ]
    thinned, width = thin(long, most=2)
    assert width == 4
    assert thinned == [
        {"t": 3, "users": 3, "sent": 15, "fanout_p99": 2_000, "ack_p99": None},
        {"t": 7, "users": 7, "sent": 55, "fanout_p99": 6_000, "ack_p99": None},
    ]


def test_a_thinned_chart_says_what_a_point_stands_for() -> None:
    charts = over_time(rows(1_000))
    assert titled(charts, "Users").note == "each point: 3 s"
    assert len(titled(charts, "Users").xs) <= 400


def test_loss_stands_beside_the_fan_out_and_nowhere_else() -> None:
    charts = over_time(rows(), loss="of the 99 % delivered")
    assert [chart.title.partition(":")[0] for chart in charts if chart.warning] == ["Fan-out"]


def test_shares_of_a_core_are_drawn_in_percent_and_lag_in_time() -> None:
    charts = over_time([{"t": 1.0, "cpu": 0.5, "lag_ms": 3.0, "server_cpu": 1.25}])
    assert titled(charts, "Generator CPU").series[0].values == [50]
    assert titled(charts, "Server CPU").series[0].values == [125]
    assert titled(charts, "Generator lag").series[0].values == [3_000]


def test_a_run_without_a_second_has_empty_charts() -> None:
    assert all(not any(series.values) for chart in over_time([]) for series in chart.series)


def test_a_distribution_ends_with_its_slowest_value_where_its_values_end() -> None:
    chart = distribution("Answers", {"many": spread(*[1_000] * 999, 50_000), "few": spread(10, 20)})
    many, few = ({series.name: series.values for series in chart.series}[name] for name in ("many", "few"))
    assert [chart.xs[0], chart.xs[-1]] == [0, 100]
    assert many[0] == 1_000
    assert many[-1] == pytest.approx(50_000, rel=0.001)
    kept = [value for value in few if value is not None]
    assert kept[-1] == 20
    assert few[-1] is None


def test_only_the_busiest_are_drawn() -> None:
    chart = distribution("Answers", {f"event{number}": spread(*[5] * number) for number in range(1, 9)})
    assert [series.name for series in chart.series] == [f"event{number}" for number in range(4, 9)]


def test_percentiles_are_named_with_the_digits_they_need() -> None:
    chart = distribution("Answers", {"ack": spread(*range(1, 20_001))})
    assert (
        [chart.x_tick(tick) for tick in chart.x.ticks()]
        if chart.x_tick
        else []
        == [
            "50 %",
            "90 %",
            "99 %",
            "99.9 %",
            "99.99 %",
        ]
    )
    assert chart.x_text(100) == "slowest"
