"""Charts: what is drawn, where it lies, and that no text of a scenario or server becomes markup."""

from xml.etree import ElementTree

import orjson
import pytest

from loadtest.report.charts import Chart, Limit, Series, apart, draw
from loadtest.report.figures import count, short
from loadtest.report.scales import Seconds


def chart(*series: Series, limit: Limit | None = None, title: str = "Users", logarithmic: bool = False) -> Chart:
    xs = [float(second) for second in range(len(series[0].values))]
    return Chart(
        title=title,
        xs=xs,
        x=Seconds(xs[-1] if xs else 1),
        x_text=str,
        y_text=count,
        y_tick=short,
        series=series,
        limit=limit,
        may_be_logarithmic=logarithmic,
    )


def parsed(drawn: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawn)  # the parts are XML, too: nothing is left open


def lines(drawn: str, kind: str = "line") -> list[str]:
    return [path.get("d", "") for path in parsed(drawn).iter("path") if kind in path.get("class", "").split()]


def test_a_line_runs_from_the_bottom_left_to_the_top_right_when_values_grow() -> None:
    assert lines(draw(chart(Series("users", [0, 50, 100], 1)))) == ["M0 1000L500 500L1000 0"]


def test_a_second_without_a_value_breaks_the_line_and_a_lone_value_is_a_spot() -> None:
    drawn = draw(chart(Series("p99", [100, 0, None, 50, None], 1)))
    assert lines(drawn) == ["M0 0L250 1000"]
    assert lines(drawn, "spot") == ["M750 500h.01"]


def test_the_ground_below_a_filled_line_is_tinted_up_to_its_gaps() -> None:
    drawn = draw(chart(Series("RSS", [100, 50, None, 50, 100], 1, filled=True)))
    assert lines(drawn, "area") == ["M0 1000L0 0L250 500L250 1000ZM750 1000L750 500L1000 0L1000 1000Z"]


def test_each_line_carries_its_name_at_its_end() -> None:
    drawn = parsed(draw(chart(Series("sent", [0, 100], 1), Series("acked", [0, 50], 2))))
    names = {span.text: span.get("style") for span in drawn.iter("span") if "name" in span.get("class", "").split()}
    assert names == {"sent": "top:0.00%", "acked": "top:50.00%"}


def test_names_of_lines_that_end_together_do_not_lie_over_each_other() -> None:
    assert apart([50, 51, 10], 9) == [50, 59, 10]
    assert apart([99, 100, 100], 9) == [82, 91, 100]
    assert apart([], 9) == []


def test_a_limit_that_is_near_is_drawn_and_the_seconds_beyond_it_are_tinted() -> None:
    drawn = draw(chart(Series("CPU", [40, 97, 50], 4), limit=Limit(80, "80 % limit")))
    assert 'class="limit"' in drawn
    assert "80 % limit" in drawn
    assert drawn.count('class="beyond"') == 1


def test_a_limit_far_above_the_values_does_not_flatten_the_line() -> None:
    drawn = draw(chart(Series("lag", [1, 2, 3], 4), limit=Limit(100, "100 ms limit")))
    assert "limit" not in drawn
    assert lines(drawn) == ["M0 666.7L500 333.3L1000 0"]


def test_values_over_orders_of_magnitude_get_a_logarithmic_axis_and_the_chart_says_so() -> None:
    wide = [1_000.0, 10_000.0, 100_000.0]
    drawn = draw(chart(Series("p99", wide, 1), logarithmic=True))
    assert lines(drawn) == ["M0 1000L500 500L1000 0"]
    assert "log scale" in drawn
    assert "log scale" not in draw(chart(Series("p99", wide, 1)))


def test_what_the_pointer_shows_is_written_here_with_its_place() -> None:
    figure = parsed(draw(chart(Series("users", [0, None, 2_000], 3))))
    told = orjson.loads(figure.get("data-chart", ""))
    assert told["x"] == [0, 50, 100]
    assert told["lines"] == [{"name": "users", "colour": 3, "y": [100, None, 0], "text": ["0", None, "2,000"]}]


@pytest.mark.parametrize("values", [[], [None, None]])
def test_a_chart_without_values_says_so(values: list[float | None]) -> None:
    assert "nothing to draw" in draw(chart(Series("p99", values, 1)))


def test_values_that_are_all_zero_lie_on_the_ground() -> None:
    assert lines(draw(chart(Series("refused", [0, 0], 1)))) == ["M0 1000L1000 1000"]


def test_no_text_becomes_markup() -> None:
    evil = "<script>alert(1)</script>\"'&"
    drawn = draw(chart(Series(evil, [1, 2], 1), title=evil, limit=Limit(1, evil)))
    assert "<script" not in drawn
    assert orjson.loads(parsed(drawn).get("data-chart", ""))["lines"][0]["name"] == evil
