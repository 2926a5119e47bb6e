"""Tables and headline figures of a page."""

from loadtest.measure.result import Asks, Delivery, Latency
from loadtest.report import tables
from tests.loadtest.sample import lossy, sample


def test_below_100_percent_every_delivery_latency_has_the_share_beside_it() -> None:
    result = lossy()
    shown = {figure.name: figure for figure in tables.delivery_figures(result.delivery, result.latencies)}
    assert shown["Delivered"].bad.startswith("1,234 of")
    assert shown["Fan-out p99"].bad == shown["Last receiver p99"].bad == "of the 99.9982 % delivered"
    assert shown["Ack p99"].bad == ""
    assert tables.latencies_table(result.latencies, result.delivery).count("of the 99.9982 % delivered") == 2


def test_a_complete_delivery_needs_no_such_words() -> None:
    result = sample(20)
    assert all(not figure.bad for figure in tables.delivery_figures(result.delivery, result.latencies))
    assert 'class="bad"' not in tables.latencies_table(result.latencies, result.delivery)


def test_a_latency_that_was_never_measured_is_not_shown() -> None:
    latencies = {"ack": {"chat.message.send": Latency()}, "join": {"/events": Latency(count=1, p99=1_500)}}
    table = tables.latencies_table(latencies, Delivery())
    assert "chat.message.send" not in table
    assert "1.50" in table


def test_refusals_are_listed_by_code_and_escaped() -> None:
    table = tables.asks_table({"<b>": Asks(sent=1_200, acked=1_190, refused={"RATE_LIMITED": 9, "<i>": 1})})
    assert "RATE_LIMITED 9" in table
    assert "&lt;i&gt; 1" in table
    assert "&lt;b&gt;" in table
    assert "99.16 %" in table


def test_without_refusals_there_is_no_column_of_codes() -> None:
    assert "by code" not in tables.asks_table({"poll.vote": Asks(sent=1, acked=1)})


def test_the_delivery_is_told_in_full_and_trouble_is_marked() -> None:
    table = tables.delivery_table(Delivery(expected=10, delivered=9, lost=1))
    assert '<td class="bad">1</td>' in table
    assert table.count('class="zero"') == 2


def test_bytes_are_a_figure_once_there_are_any() -> None:
    (figure,) = tables.bytes_figure({"bytes.in": 1_500_000, "bytes.out": 20_000})
    assert (figure.value, figure.beside) == ("1.50 MB", "20.0 kB sent")
    assert tables.bytes_figure({}) == []
