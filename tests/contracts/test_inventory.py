"""What is declared is in the inventory once, with all that documents tell of it."""

from __future__ import annotations

from livehub.contracts.inventory import ONE_CONNECTION, Audience, Inventory, tells
from livehub.feature import Via
from livehub.features import discover
from livehub.rooms.catalog import Catalog
from tests.contracts.toys import NAMESPACE, Box, Lid, asked, catalog, inventory, told


def test_every_event_of_every_feature_is_there_once() -> None:
    whole = Inventory(Catalog(discover()), "/events")
    commands = [
        command.name
        for feature in discover()
        for command in feature.commands()
        if command.via in (Via.SOCKET, Via.BOTH)
    ]
    assert sorted(one.name for one in whole.asked) == sorted(commands)
    sent = {emits.name for feature in discover() for emits in feature.emits}
    names = [one.name for one in whole.told]
    assert len(names) == len(set(names))
    assert sent | {"connectionAcknowledged", "systemError", "session.snapshot"} <= set(names)


def test_only_what_clients_can_send_is_asked() -> None:
    assert [one.name for one in inventory().asked] == ["box.join", "toy.make", "toy.hug", "toy.drop", "lid.open"]


def test_features_are_told_by_name() -> None:
    assert Inventory(Catalog([Lid, Box]), NAMESPACE).features() == [Box, Lid]


def test_a_payload_has_the_fields_of_every_event_beside_its_own() -> None:
    schema = inventory().schemas.resolve(asked("toy.make").payload)
    own = ["name", "kind", "parts", "ownerId", "secret", "more"]
    assert list(schema["properties"]) == [*own, "idempotencyKey", "sessionId", "eventId"]
    assert schema["required"] == ["name", "kind", "parts", "idempotencyKey"]
    assert schema["additionalProperties"] is False
    assert not asked("toy.make").needless


def test_one_payload_class_with_and_without_a_key_is_two_schemas() -> None:
    assert asked("toy.hug").payload == {"$ref": "#/components/schemas/OneToyPayload"}
    assert asked("toy.drop").payload == {"$ref": "#/components/schemas/ToyDropPayload"}
    schemas = inventory().schemas.named
    assert schemas["OneToyPayload"]["required"] == ["toyId", "idempotencyKey"]
    assert schemas["ToyDropPayload"]["required"] == ["toyId"]
    assert schemas["ToyDropPayload"]["properties"]["idempotencyKey"]["type"] == ["string", "null"]


def test_an_event_without_fields_has_a_payload_of_its_own_name() -> None:
    assert asked("box.join").payload == {"$ref": "#/components/schemas/BoxJoinPayload"}
    assert asked("box.join").needless
    assert not asked("lid.open").needless  # the key is required
    assert "description" not in inventory().schemas.named["BoxJoinPayload"]


def test_a_reply_is_a_success_and_more() -> None:
    success = {"$ref": "#/components/schemas/Success"}
    assert inventory().ack(asked("toy.drop")) == success
    assert inventory().ack(asked("toy.make")) == {"allOf": [success, {"$ref": "#/components/schemas/ToyMade"}]}
    assert not tells(catalog().commands["toy.rusted"])


def test_a_docstring_is_told_without_its_indentation() -> None:
    assert asked("toy.make").doc == "Make a toy.\n\nIt is there at once."


def test_who_hears_an_event_is_told_with_the_permission_for_it() -> None:
    assert told("toy.new").audiences == (Audience("session:{sessionId}"),)
    assert told("toy.yours").audiences == (Audience("user:{userId}"),)
    assert told("systemError").audiences == (ONE_CONNECTION,)
    staff = Audience("session:{sessionId}:staff", "toys:mend")
    assert str(staff) == "session:{sessionId}:staff (toys:mend)"
    assert told("toy.broken").audiences == (Audience("session:{sessionId}"), staff)


def test_one_event_of_two_shapes_is_told_once() -> None:
    broken = told("toy.broken")
    assert broken.doc == "A toy broke. All broke."
    assert broken.payload == {"anyOf": [{"$ref": "#/components/schemas/Broken"}, {"$ref": "#/components/schemas/Toys"}]}


def test_facts_have_offsets_and_views_have_none() -> None:
    assert [one.name for one in inventory().told if not one.dated] == ["systemError", "toy.count"]


def test_the_receivers_own_field_is_named() -> None:
    assert told("toy.new").own == "ownerId"
    assert told("toy.yours").own == ""


def test_a_snapshot_holds_the_reply_of_the_join_and_what_features_add() -> None:
    snapshot = inventory().schemas.resolve(told("session.snapshot").payload)
    assert snapshot["properties"] == {
        "sessionId": {"type": "string"},
        "toys": {"type": "array", "items": {"$ref": "#/components/schemas/Toy"}},
        "lidOpen": {},
    }
    assert snapshot["required"] == ["sessionId", "toys", "lidOpen"]
