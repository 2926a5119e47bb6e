"""The terminal: live table, plain lines, and the last word."""

from io import StringIO

import attrs
import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from loadtest.measure.book import Snapshot
from loadtest.measure.result import Asks, Result, RunInfo
from loadtest.report import terminal
from tests.loadtest import sample


def console(*, is_terminal: bool = False) -> tuple[Console, StringIO]:
    text = StringIO()
    return Console(file=text, width=160, force_terminal=is_terminal, color_system=None), text


def summarised(result: Result) -> str:
    printer, text = console()
    terminal.summary(result, printer)
    return text.getvalue()


async def watched(seconds: float, *, headless: bool, is_terminal: bool) -> str:
    printer, text = console(is_terminal=is_terminal)
    result = sample.sample()
    shown = sample.snapshot(result)
    with trio.move_on_after(seconds):
        await terminal.watch(lambda: shown, result.run, headless=headless, console=printer)
    return text.getvalue()


@pytest.mark.parametrize(("headless", "is_terminal"), [(True, True), (False, False)])
async def test_without_a_terminal_or_headless_there_are_plain_lines(
    autojump_clock: MockClock, headless: bool, is_terminal: bool
) -> None:
    told = await watched(11, headless=headless, is_terminal=is_terminal)
    assert len(told.splitlines()) == 2
    assert "\x1b" not in told
    assert "2,000 users" in told


async def test_on_a_terminal_a_table_is_drawn_over(autojump_clock: MockClock) -> None:
    told = await watched(2.5, headless=False, is_terminal=True)
    assert told.count("Fan-out to each receiver") >= 3
    assert "\x1b[" in told


def test_a_line_says_what_is_lost_beside_the_latency_of_deliveries() -> None:
    told = terminal.line(sample.snapshot(sample.lossy()))
    assert "1,234 of" in told
    assert "fan-out p99" in told
    assert told.index("of the 99.9982 % delivered") > told.index("fan-out p99")
    assert "lost" not in terminal.line(sample.snapshot(sample.sample()))


def test_a_line_can_be_written_before_anything_happened() -> None:
    told = terminal.line(sample.snapshot(Result()))
    assert "0 users" in told
    assert "fan-out" not in told


def test_the_table_warns_while_the_generator_is_too_late() -> None:
    printer, text = console()
    shown: Snapshot = sample.snapshot(sample.invalid())
    printer.print(terminal.view(shown, RunInfo(scenario="conference", duration_s=300)))
    assert "Invalid so far: worker 1" in text.getvalue()
    assert "5:00 of 5:00" in text.getvalue()
    assert "INVALID so far" in terminal.line(shown)


def test_the_summary_ends_with_the_verdict_and_its_reasons() -> None:
    told = summarised(sample.invalid())
    tail = told[told.index("Delivery:") :]
    assert "✗ Invalid run" in tail
    assert tail.rstrip().endswith("(97 % at worst)")
    assert "not judged" in told
    assert "✓ Valid run: everything arrived, once and in order; 2 conditions passed" in summarised(sample.sample())


def test_below_100_percent_no_delivery_latency_is_without_the_share() -> None:
    told = [line for line in summarised(sample.lossy()).splitlines() if line.startswith("Fan-out")]
    assert len(told) == 2
    assert all("of the 99.9982 % delivered" in line for line in told)


def test_conditions_are_told_with_the_unit_of_what_was_measured() -> None:
    told = summarised(sample.lossy())
    assert "76.3 ms" in next(line for line in told.splitlines() if line.startswith("fanout.p99>250ms"))


def test_foreign_texts_are_not_markup() -> None:
    told = summarised(attrs.evolve(sample.empty(), asks={"[bold]x[/bold]": Asks(sent=1, refused={"[/]": 1})}))
    assert "[bold]x[/bold]" in told
    assert "[/] 1" in told


def test_sparks_rise_from_zero_and_leave_gaps() -> None:
    assert terminal.spark([0, 50, None, 100]) == "▁▅ █"
    assert terminal.spark([0, None]) == ""
    assert len(terminal.spark(range(1_000))) == terminal.SPARK_POINTS
