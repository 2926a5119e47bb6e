"""The printed contract says everything that is declared."""

from __future__ import annotations

from livehub.contracts.document import contract_text
from livehub.feature import Via
from livehub.features import discover
from livehub.rooms.catalog import Catalog
from livehub.rooms.payloads import wire_fields


def test_every_event_field_and_limit_is_printed() -> None:
    catalog = Catalog(discover())
    text = contract_text(catalog, "/events")
    assert "NAMESPACE /events" in text
    for command in catalog.commands.values():
        if command.via in (Via.SOCKET, Via.BOTH):
            section = text.split(f"\n{command.name}\n", 1)[1].split("\n\n", 1)[0]
            for field in wire_fields(command.payload):
                assert f"    {field}: " in section
            for permission in command.needs:
                assert permission in section
            if command.rate is not None:
                assert f"at most {command.rate} per person" in section
        else:
            assert f"\n{command.name}\n" not in text
    for _, emits in catalog.emits:
        assert f"\n{emits.name}\n    {emits.doc}\n" in text


def test_optional_fields_are_marked() -> None:
    text = contract_text(Catalog(discover()), "/events")
    assert "    replyingToMessageId: UUID v4 (optional)" in text
    assert (
        "    parentMessage?: {id: string, text: string, author: {id: string, firstName: string, lastName: string}}"
        in text
    )
    assert "    reactionsSummary?: map of string to integer" in text
    assert "    editedAt: string | null" in text
