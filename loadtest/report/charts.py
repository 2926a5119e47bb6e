"""Line charts as SVG with HTML labels, drawn here once for the report and for the live page.

The picture is an SVG that is stretched to whatever room it gets, with lines that keep their width; every text is HTML
placed in percent beside it, so a chart is as readable on a phone as on a wide screen and needs no script. A line has
its name at its right end: no legend to look up. Values under the pointer are formatted here, too, and lie in
`data-chart`; `page.js` only shows them.
"""

from collections.abc import Callable, Sequence
from html import escape

import attrs
import orjson

from loadtest.report.scales import Linear, Logarithmic, Scale

UNITS = 1000  # the picture's own units per side: finer than a pixel
LABEL_GAP_PERCENT = 9.0  # of the height: one line of text in the lowest chart
NAME_PX = 8  # of a letter of 12 px
NAMES_PX_MAX = 155
LIMIT_SHOWN_FROM = 3  # a limit that is further away than three times the highest value would flatten the line
LOGARITHMIC_FROM = 50  # largest over smallest value: beyond that a linear axis shows one peak and a flat line


@attrs.frozen
class Series:
    """One line: a value, or none, for every x of its chart. `colour` counts from 1, in the order of the palette."""

    name: str
    values: Sequence[float | None]
    colour: int
    filled: bool = False


@attrs.frozen
class Limit:
    """A level that means something: drawn as a dashed line, and seconds beyond it are tinted."""

    value: float
    name: str


@attrs.frozen
class Chart:
    """What is drawn, and how its numbers are written. `note` and `warning` (in red) follow the title."""

    title: str
    xs: Sequence[float]
    x: Scale
    x_text: Callable[[float], str]
    y_text: Callable[[float], str]
    y_tick: Callable[[float], str]
    series: Sequence[Series]
    span: int = 4  # of the page's twelve columns
    tall: bool = False
    note: str = ""
    warning: str = ""
    limit: Limit | None = None
    may_be_logarithmic: bool = False
    x_tick: Callable[[float], str] | None = None
    linked: bool = True  # one pointer moves over all charts with the same x axis


def draw(chart: Chart) -> str:
    """The chart as one `<figure>`."""
    drawn = [series for series in chart.series if any(value is not None for value in series.values)]
    y = _scale(chart, drawn)
    head = f"<figcaption><b>{escape(chart.title)}</b>{_notes(chart, y)}</figcaption>"
    opening = f'<figure class="chart s{chart.span}{" tall" if chart.tall else ""}"'
    if not drawn or not chart.xs:
        return f'{opening}>{head}<div class="plot none"><p>nothing to draw</p></div></figure>'
    label = f"{chart.title}: " + ", ".join(series.name for series in drawn)
    picture = (
        f'<svg viewBox="0 0 {UNITS} {UNITS}" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f"{_grid(y)}{_beyond(chart, drawn)}{_limit_line(chart, y)}"
        f"{''.join(_line(chart, series, y) for series in drawn)}</svg>"
    )
    data = escape(orjson.dumps(_pointer(chart, drawn, y)).decode())
    linked = ' data-linked="1"' if chart.linked else ""
    return (
        f'{opening} data-chart="{data}"{linked}>{head}<div class="plot" style="--names:{_room(chart, drawn, y)}px">'
        f"{picture}{_y_labels(chart, y)}{_x_labels(chart)}{_names(chart, drawn, y)}"
        '<i class="cursor"></i></div></figure>'
    )


def _notes(chart: Chart, y: Scale) -> str:
    notes = ", ".join(filter(None, (chart.note, "log scale" if isinstance(y, Logarithmic) else "")))
    note = f" <span>{escape(notes)}</span>" if notes else ""
    return note + (f' <span class="bad">{escape(chart.warning)}</span>' if chart.warning else "")


def _scale(chart: Chart, drawn: Sequence[Series]) -> Scale:
    values = [value for series in drawn for value in series.values if value is not None]
    positive = [value for value in values if value > 0]
    if chart.may_be_logarithmic and positive and max(positive) / min(positive) > LOGARITHMIC_FROM:
        return Logarithmic.around(min(positive), max(positive))
    largest = max(values, default=0)
    if chart.limit is not None and largest > chart.limit.value / LIMIT_SHOWN_FROM:
        largest = max(largest, chart.limit.value)
    return Linear.upto(largest)


def _grid(y: Scale) -> str:
    return "".join(f'<path class="grid" d="M0 {_down(y.place(tick))}H{UNITS}"/>' for tick in y.ticks())


def _beyond(chart: Chart, drawn: Sequence[Series]) -> str:
    """A tint over every stretch where any line is beyond the limit."""
    if chart.limit is None or len(chart.xs) < 2:
        return ""
    limit, bands = chart.limit.value, []
    half = (chart.x.place(chart.xs[1]) - chart.x.place(chart.xs[0])) / 2
    for index, at in enumerate(chart.xs):
        if any((series.values[index] or 0) > limit for series in drawn):
            left = max(chart.x.place(at) - half, 0)
            bands.append(f'<rect class="beyond" x="{_n(left)}" y="0" width="{_n(2 * half)}" height="{UNITS}"/>')
    return "".join(bands)


def _limit_line(chart: Chart, y: Scale) -> str:
    if chart.limit is None or not _limited(chart, y):
        return ""
    return f'<path class="limit" d="M0 {_down(y.place(chart.limit.value))}H{UNITS}"/>'


def _limited(chart: Chart, y: Scale) -> bool:
    return chart.limit is not None and chart.limit.value <= y.ticks()[-1]


def _line(chart: Chart, series: Series, y: Scale) -> str:
    """A second without a value breaks the line, and a value between two such seconds is a spot."""
    lines, spots, areas = "", "", ""
    for run in _runs(chart.xs, series.values):
        points = "L".join(f"{_n(chart.x.place(at))} {_down(y.place(value))}" for at, value in run)
        if len(run) == 1:
            spots += f"M{points}h.01"  # a round cap at both ends of next to nothing
            continue
        lines += f"M{points}"
        if series.filled:
            first, last = _n(chart.x.place(run[0][0])), _n(chart.x.place(run[-1][0]))
            areas += f"M{first} {UNITS}L{points}L{last} {UNITS}Z"
    drawn = (("area", areas), ("line", lines), ("spot", spots))
    return "".join(f'<path class="{kind} c{series.colour}" d="{path}"/>' for kind, path in drawn if path)


def _runs(xs: Sequence[float], values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(xs, values, strict=True):
        if value is not None:
            runs[-1].append((at, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _y_labels(chart: Chart, y: Scale) -> str:
    return "".join(
        f'<span class="y" style="top:{_percent_down(y.place(tick))}%">{escape(chart.y_tick(tick))}</span>'
        for tick in y.ticks()
    )


def _x_labels(chart: Chart) -> str:
    text = chart.x_tick or chart.x_text
    return "".join(
        f'<span class="x{" odd" if index % 2 else ""}" style="left:{chart.x.place(tick) * 100:.2f}%">'
        f"{escape(text(tick))}</span>"
        for index, tick in enumerate(chart.x.ticks())
    )


def _names(chart: Chart, drawn: Sequence[Series], y: Scale) -> str:
    """The lines' names at their ends, and the limit's; pushed apart where they would lie over each other."""
    named = [
        (f"t{series.colour}", series.name, next(value for value in reversed(series.values) if value is not None))
        for series in drawn
    ]
    if chart.limit is not None and _limited(chart, y):
        named.append(("limit-name", chart.limit.name, chart.limit.value))
    tops = apart([_percent_down(y.place(value)) for _, _, value in named], LABEL_GAP_PERCENT)
    return "".join(
        f'<span class="name {style}" style="top:{top:.2f}%">{escape(name)}</span>'
        for top, (style, name, _) in zip(tops, named, strict=True)
    )


def _room(chart: Chart, drawn: Sequence[Series], y: Scale) -> int:
    """Pixels to the right of the picture for the names; longer ones end in an ellipsis."""
    names = [series.name for series in drawn] + ([chart.limit.name] if chart.limit and _limited(chart, y) else [])
    return min(max(14 + NAME_PX * max(map(len, names)), 46), NAMES_PX_MAX)


def apart(tops: Sequence[float], gap: float) -> list[float]:
    """The same positions, in the same order of height, with at least `gap` between neighbours and within 0…100."""
    order = sorted(range(len(tops)), key=lambda index: tops[index])
    placed = [tops[index] for index in order]
    for index in range(1, len(placed)):
        placed[index] = max(placed[index], placed[index - 1] + gap)
    ceiling = 100.0
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - gap
    result = [0.0] * len(tops)
    for position, index in enumerate(order):
        result[index] = placed[position]
    return result


def _pointer(chart: Chart, drawn: Sequence[Series], y: Scale) -> dict[str, object]:
    """What the pointer shows: places in percent and texts, ready to be put on the page."""
    return {
        "x": [round(chart.x.place(at) * 100, 2) for at in chart.xs],
        "at": [chart.x_text(at) for at in chart.xs],
        "lines": [
            {
                "name": series.name,
                "colour": series.colour,
                "y": [None if value is None else _percent_down(y.place(value)) for value in series.values],
                "text": [None if value is None else chart.y_text(value) for value in series.values],
            }
            for series in drawn
        ],
    }


def _n(place: float) -> str:
    return f"{place * UNITS:.1f}".removesuffix(".0")


def _down(place: float) -> str:
    return _n(1 - place)


def _percent_down(place: float) -> float:
    return round(100 - place * 100, 2)
