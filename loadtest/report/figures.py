"""How numbers are written, the same on the terminal, the web page and paper.

One rule is more than taste: a share below 100 % is cut off, never rounded, because `99.9999 %` that prints as `100 %`
hides exactly the loss the harness is there to find.
"""

import math

MISSING = "–"


def count(value: float | None) -> str:
    """`1234567.0` as `1,234,567`."""
    return MISSING if value is None else f"{round(value):,}"


def short(value: float) -> str:
    """A count with few digits, for an axis: `1.5k`, `20M`."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.4g}{letter}"
    return f"{value:.4g}"


def size(octets: float | None) -> str:
    """Bytes as `12.3 MB`, by thousands as networks count them."""
    if octets is None:
        return MISSING
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if octets >= limit:
            return f"{_three(octets / limit)} {unit}"
    return f"{octets:.0f} B"


def duration(us: float | None) -> str:
    """Microseconds with three digits and the unit that suits them: `850 µs`, `12.3 ms`, `1.24 s`."""
    if us is None:
        return MISSING
    if us < 999.5:
        return f"{us:.0f} µs"
    if us < 999_500:
        return f"{_three(us / 1e3)} ms"
    return f"{_three(us / 1e6)} s"


def duration_tick(us: float) -> str:
    """Microseconds on an axis: no digits that say nothing."""
    if us <= 0:
        return "0"
    value, unit = (us, "µs") if us < 1e3 else (us / 1e3, "ms") if us < 1e6 else (us / 1e6, "s")
    return f"{value:.4g} {unit}"


def milliseconds(us: float | None) -> str:
    """Microseconds as milliseconds with two decimals: a column of them lines up."""
    return MISSING if us is None else f"{us / 1e3:,.2f}"


def percent(value: float | None) -> str:
    """Cut off behind the digits that matter: `100 %` is said of nothing less."""
    if value is None:
        return MISSING
    if value == 100:
        return "100 %"
    decimals = 4 if 99.99 <= value < 100 else 2
    cut = math.floor(value * 10**decimals + 1e-9) / 10**decimals
    return f"{min(cut, 99.9999) if value < 100 else cut:.{decimals}f} %"


def share(part: float, whole: float) -> str:
    """`part` of `whole` in percent; nothing of nothing is no number."""
    return percent(100 * part / whole) if whole else MISSING


def clock(seconds: float) -> str:
    """Seconds into the run, as a stop-watch has them: `0:45`, `12:30`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def number(value: float | None) -> str:
    """A number of which nothing is known: whole ones in full, others with six digits."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:,.6g}"


def _three(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{decimals}f}"
