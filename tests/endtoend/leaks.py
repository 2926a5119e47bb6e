"""Finding what somebody was told and should not know: secrets are planted, and every byte that was heard is searched.

A secret is a text that occurs nowhere by accident. It is also found when it is escaped, percent-encoded, in hex or in
base64. Where a part of a payload may show it (an address in `authorEmail`, to a moderator), that part is taken out
before the rest is searched: the same address anywhere else is a leak.
"""

from __future__ import annotations

import csv
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote_plus

ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
EVENT = re.compile(r"(?s)[0-9/a-z,]*?(\[.*\])\Z")
SHOWN_CHARS = 300


INDEXED_CHARS = 6
"""Of each form of a secret: no secret is shorter."""


class Told(NamedTuple):
    """Something that one person was told: a frame, or an answer of REST."""

    who: str
    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Secret:
    """A text, who may be told it anywhere, and who may be told it in a certain field of a payload."""

    what: str
    text: str
    knowers: frozenset[str] = frozenset()
    fields: Mapping[str, frozenset[str]] = field(default_factory=dict)


Index: TypeAlias = dict[str, list[tuple[str, Secret]]]


class Leak(NamedTuple):
    """A secret that reached somebody."""

    what: str
    who: str
    where: str

    def __str__(self) -> str:
        return f"{self.who} was told {self.what} in {self.where}"


def leaks(secrets: Iterable[Secret], told: Iterable[Told]) -> list[Leak]:
    """Every secret in every place where it should not be."""
    index = _index(secrets)
    held: dict[str, list[Secret]] = {}  # text → secrets in it: many are told the same
    found = []
    for item in told:
        if item.text not in held:
            held[item.text] = _held(item.text, index)
        found += [
            Leak(secret.what, item.who, f"{item.where}: {item.text[:SHOWN_CHARS]}")
            for secret in held[item.text]
            if item.who not in secret.knowers and not _is_open(secret, item)
        ]
    return found


def values(told: Told, name: str) -> Iterator[Any]:
    """Every value of a field of this name in what somebody was told."""
    yield from _values(_read(told.text), name)


def _is_open(secret: Secret, told: Told) -> bool:
    """Whether the secret is only where this person may be told it."""
    open_fields = {name for name, knowers in secret.fields.items() if told.who in knowers}
    if not open_fields or (content := _read(told.text)) is None:
        return False
    return not _held(json.dumps(_without(content, open_fields), ensure_ascii=False), _index([secret]))


def _index(secrets: Iterable[Secret]) -> Index:
    index: Index = {}
    for secret in secrets:
        for form in _forms(secret.text):
            index.setdefault(form[:INDEXED_CHARS], []).append((form, secret))
    return index


def _held(text: str, index: Index) -> list[Secret]:
    """The secrets in a text. One pass over it for all of them: there are hundreds, and megabytes of texts."""
    found = {}
    for reading in _readings(text):
        for at in range(len(reading) - INDEXED_CHARS + 1):
            for form, secret in index.get(reading[at : at + INDEXED_CHARS], ()):
                if reading.startswith(form, at):
                    found[secret.what, secret.text] = secret
    return list(found.values())


def _readings(text: str) -> set[str]:
    """A text as it stands (base64 is told from its case), and without case, as those read it who undo escapes."""
    unescaped = ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return {text, *(reading.casefold() for reading in (text, unescaped, unquote_plus(unescaped)))}


def _forms(text: str) -> Iterator[str]:
    yield text.casefold()
    yield text.encode().hex()
    for shift in range(3):  # where the text may begin within base64's groups of three bytes
        padded = bytes(shift) + text.encode()
        first, last = -(-shift * 8 // 6), len(padded) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(padded).decode()[first:last]


def _read(text: str) -> Any:
    """The content of a frame or of an answer, as JSON; rows of CSV by the table that they name. None for other text."""
    if text.startswith("\ufefftable,"):
        rows = list(csv.DictReader(StringIO(text[1:])))
        return {table: [row for row in rows if row["table"] == table] for table in {row["table"] for row in rows}}
    found = EVENT.match(text)
    try:
        return json.loads(found[1] if found else text)
    except ValueError:
        return None


def _without(content: Any, names: set[str]) -> Any:
    if isinstance(content, dict):
        return {name: _without(value, names) for name, value in content.items() if name not in names}
    return [_without(value, names) for value in content] if isinstance(content, list) else content


def _values(content: Any, name: str) -> Iterator[Any]:
    if isinstance(content, dict):
        if name in content:
            yield content[name]
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            yield from _values(value, name)
