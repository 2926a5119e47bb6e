"""`config/livehub.toml`, written from what the settings declare: every one with its purpose, unit and default.

Everything in it is commented out, so it is the reference and the production defaults at once. `make fmt` writes it
anew (`python -m livehub.reference`); a feature's section is in it from then on.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from livehub.config import fields, sections
from livehub.feature import Feature
from livehub.features import discover
from livehub.values import allowed

WIDTH = 118

HEAD = """\
# livehub's settings, each with its default. Take the # away from a line to change it; the only one that must be set is
# `secret` (or another source of keys) in [auth]. Any of them can come from the environment instead:
# LIVEHUB_AUTH__SECRET=... stands for `secret` in [auth]. Relative paths start at the current directory, or at the
# checkout whose config/ this file is in. `livehub check` says what is wrong with it.
"""


def render(features: Iterable[type[Feature]]) -> str:
    """The whole file."""
    parts = [_section(name, kind) for name, kind in sections(features).items()]
    return HEAD + "".join(parts)


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if value is None:
        return '""'
    if isinstance(value, Mapping):
        if not value:
            return "{}"
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def _section(name: str, kind: type[Any]) -> str:
    defaults = kind()
    purpose = (kind.__doc__ or "").strip().splitlines()[0]
    lines = ["", f"[{name}]" if purpose.startswith("`[") else f"[{name}]  # {purpose}"]
    for field, hint in fields(kind):
        told = f"{_sentence(field.metadata['help'])} {_sentence(allowed(hint, field.metadata))}"
        lines += textwrap.wrap(told, WIDTH, initial_indent="# ", subsequent_indent="# ")
        lines += _assignment(field.name, getattr(defaults, field.name))
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _assignment(key: str, value: Any) -> list[str]:
    """`#key = value`; a table becomes a line per entry, which TOML calls dotted keys."""
    if isinstance(value, Mapping) and value:
        return [f"#{key}.{name} = {toml(item)}" for name, item in value.items()]
    return [f"#{key} = {toml(value)}"]


if __name__ == "__main__":
    sys.stdout.write(render(discover()))
