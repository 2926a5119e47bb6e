"""docs/events.md is what is declared, and says all of it."""

from __future__ import annotations

import re
from pathlib import Path

from livehub.contracts.events import NAMESPACE
from livehub.contracts.inventory import Inventory
from livehub.contracts.pagetext import page
from livehub.features import discover
from livehub.rooms.catalog import Catalog
from tests.contracts.toys import inventory

FILE = Path(__file__).parents[2] / "docs" / "events.md"
LINK = re.compile(r"\[(\w+)\]\(#(\w+)\)")


def section(title: str) -> str:
    """What stands under one heading of the toys' page."""
    return page(inventory()).split(f"### {title}\n", 1)[1].split("\n#", 1)[0].strip()


def test_the_file_is_what_the_features_declare() -> None:
    assert FILE.read_text() == page(Inventory(Catalog(discover()), NAMESPACE)), "stale: run `make fmt`"


def test_every_event_has_its_heading_and_every_link_its_target() -> None:
    whole = Inventory(Catalog(discover()), NAMESPACE)
    text = page(whole)
    for asked in whole.asked:
        assert text.count(f"\n### → `{asked.name}`\n") == 1
    for told in whole.told:
        assert len(re.findall(rf"^### ← `{re.escape(told.name)}`( ☆)?$", text, re.MULTILINE)) == 1
    links = LINK.findall(text)
    assert links
    for name, anchor in links:
        assert anchor == name.lower()
        assert text.count(f"\n### {name}\n") == 1


def test_an_event_of_a_client_is_told_with_payload_permission_rate_and_ack() -> None:
    assert section("→ `toy.make`").splitlines() == [
        "Make a toy.",
        "",
        "It is there at once.",
        "",
        "For who has joined the session, with `toys:make` or `toys:mend`; at most 5 in 10 s; key required.",
        "",
        "| field | type | |",
        "|---|---|---|",
        "| `name` | `string` | 1 to 20 characters, not only white space |",
        '| `kind` | `"car" \\| "doll"` |  |',
        "| `parts` | `Part[]` | 1 to 3 items |",
        "| `ownerId` | `string \\| null` | optional; id: 1 to 128 of A-Z a-z 0-9 _ . : - |",
        "| `secret` | `boolean` | optional; default `false` |",
        "| `more` | `Record<string, unknown> \\| null` | optional; object of at most 100 bytes |",
        "",
        "Ack: [ToyMade](#toymade) `{toyId}`",
    ]


def test_an_event_without_fields_has_no_table() -> None:
    assert section("→ `box.join`").splitlines() == [
        "Sit at the box.",
        "",
        "For everybody; key optional.",
        "",
        "Ack: [Sat](#sat) `{sessionId}`",
    ]


def test_an_event_of_the_server_is_told_with_who_hears_it() -> None:
    assert section("← `toy.new` ☆").splitlines() == [
        "A toy | is there. To `session:{sessionId}`. `ownerId` is the receiver's own.",
        "",
        "Payload: [Toy](#toy) `{id, name, kind, parts, ownerId, votes}`",
    ]
    assert "`session:{sessionId}` and `session:{sessionId}:staff` (who has `toys:mend`)" in section("← `toy.broken` ☆")
    assert section("← `toy.count`").endswith("Payload: `Record<string, number>`")


def test_types_are_told_once_at_the_end() -> None:
    types = page(inventory()).split("## Types\n", 1)[1]
    assert "| `votes` | `Record<string, number>` | optional |" in types
    assert "| `weightG` | `number` | optional; 0 to 900; default `5` |" in types
    assert "MakeToyPayload" not in types
