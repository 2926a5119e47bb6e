"""The printed contract says everything that is declared."""

from __future__ import annotations

from livehub.contracts.document import contract_text
from livehub.contracts.inventory import Inventory
from livehub.feature import Via
from livehub.features import discover
from livehub.rooms.catalog import Catalog
from livehub.rooms.payloads import wire_fields
from tests.contracts.toys import NAMESPACE
from tests.contracts.toys import catalog as toys


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
    for told in Inventory(catalog, "/events").told:
        assert f"\n{told.name}\n    {told.doc}\n" in text


def test_optional_fields_are_marked() -> None:
    text = contract_text(Catalog(discover()), "/events")
    assert "    replyingToMessageId: UUID v4 (optional)" in text
    assert (
        "    parentMessage?: {id: string, text: string, author: {id: string, firstName: string, lastName: string}}"
        in text
    )
    assert "    reactionsSummary?: map of string to integer" in text
    assert "    editedAt: string | null" in text


def test_types_are_written_out_where_they_are_used() -> None:
    text = contract_text(toys(), NAMESPACE)
    toy = (
        "{id: string, name: string, kind: car | doll, parts: list of Toy, ownerId: string | null, "
        "votes?: map of string to integer}"
    )
    for line in (
        "    answers {toyId: string}",
        f"    parts: list of {toy}",
        "    kind: car | doll",
        f"    {{toyId: string}} | {{toys: list of {toy}}}",
        "    map of string to integer",
        "    lidOpen: anything",
        "    to the client alone",
        "    to session:{sessionId} and session:{sessionId}:staff (toys:mend)",
    ):
        assert f"\n{line}\n" in text
    assert "\nlid.open\n    Open the lid.\n    idempotencyKey: UUID v4\n\n" in text
