"""The report: one file, the verdict first, every text escaped."""

import re
from html.parser import HTMLParser
from pathlib import Path

import attrs
import pytest

from loadtest.measure.result import Asks, Regression, Result
from loadtest.report import html
from tests.loadtest import sample

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'"
VOID = {"meta", "link", "br", "img", "path", "rect"}


class Reader(HTMLParser):
    """Tags, addresses and text of a page; fails on tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "srcset"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


def test_the_report_needs_nothing_but_itself() -> None:
    page = html.page(sample.sample())
    assert Reader(page).addresses == []
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_the_policy_of_the_page_allows_the_scripts_that_are_in_it_and_no_other() -> None:
    page = html.page(sample.sample(5))
    assert page.count("<script") == len(re.findall(r"'sha256-[^']+'", page)) == 1
    assert f"'sha256-{html._hash(html.asset('page.js'))}'" in page


def test_the_verdict_is_the_first_thing_after_the_title() -> None:
    page = html.page(sample.invalid())
    verdict = page.index('class="verdict bad"')
    assert page.index("<h1>") < verdict < page.index('class="figures"')
    assert "Invalid run" in page[verdict:]
    assert "worker 1 used over 80 % of a core" in page[verdict:]


def test_an_invalid_run_passes_no_condition() -> None:
    words = Reader(html.page(sample.invalid())).words
    assert "not judged" in words
    assert "✓ passed" not in words


def test_everything_that_is_needed_to_repeat_the_run_is_told() -> None:
    words = Reader(html.page(sample.sample())).words
    for told in ("-u 2000 -r 100 -t 300s", "Seed42", "Commit1c6c14c", "AMD EPYC 7763", "trio0.35.0"):
        assert told in words
    assert "21 November 2026, 14:03 UTC" in words


def test_each_of_the_charts_is_there_for_a_run_in_which_everything_happened() -> None:
    page = html.page(sample.sample())
    titles = re.findall(r"<figcaption><b>([^<]+)</b>", page)
    assert len(titles) == 12
    assert "nothing to draw" not in page


def test_below_100_percent_no_chart_of_deliveries_is_without_the_share() -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html.page(sample.lossy()))
    told = [caption for caption in captions if "of the 99.9982 % delivered" in caption]
    assert [re.sub("<.*", "", caption[3:]) for caption in told] == [
        "Fan-out: from the intended send to a receiver",
        "Deliveries",
    ]


@pytest.mark.parametrize("result", [sample.empty(), Result()])
def test_a_run_in_which_nothing_happened_has_a_report(result: Result) -> None:
    assert "nothing was to be delivered" in Reader(html.page(result)).words


def test_no_text_from_outside_becomes_markup() -> None:
    whole = sample.lossy()
    evil = attrs.evolve(
        whole,
        run=attrs.evolve(
            whole.run, scenario=EVIL, host=EVIL, command=EVIL, started=EVIL, commit=EVIL, versions={EVIL: EVIL}
        ),
        machine={EVIL: EVIL},
        valid=False,
        invalid_because=[EVIL],
        latencies={kind: {EVIL: next(iter(named.values()))} for kind, named in whole.latencies.items()},
        asks={EVIL: Asks(sent=1, refused={EVIL: 1})},
        counters={EVIL: 1},
        server=[sample.metric(EVIL, 0, 1)],
        conditions=[attrs.evolve(condition, text=EVIL) for condition in whole.conditions],
        regressions=[Regression(name=EVIL, text=EVIL)],
        failures=[EVIL],
    )
    reader = Reader(html.page(evil))
    assert reader.tags.count("script") == 1
    assert "img" not in reader.tags
    assert EVIL in reader.words


def test_the_file_is_the_page(tmp_path: Path) -> None:
    html.write(tmp_path / "report.html", sample.sample(5))
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html.page(sample.sample(5))


def test_what_is_read_back_from_json_makes_the_same_report() -> None:
    result = sample.lossy()
    assert html.page(Result.from_json(result.to_json())) == html.page(result)
