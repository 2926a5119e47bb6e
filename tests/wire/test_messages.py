"""Socket.IO packets: the grammar, what a single packet can do wrong, and binaries out and in again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from socketio.packet import Packet as ReferencePacket

from livehub.wire.frames import Frame, Kind
from livehub.wire.jsontext import JSON
from livehub.wire.messages import (
    ACK_ID_MAX,
    ATTACHMENTS_MAX,
    NAMESPACE_CHARS_MAX,
    RESERVED,
    Assembler,
    MalformedPacket,
    Packet,
    PacketType,
    decode,
    encode,
    event_text,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 53), 1 << 53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
KEYS = st.text().filter(lambda key: key != "_placeholder")


def values(*leaves: st.SearchStrategy[JSON]) -> st.SearchStrategy[JSON]:
    return st.recursive(
        st.one_of(SCALARS, *leaves),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    )


NAMESPACES = st.just("/") | st.text(st.characters(exclude_characters=",?", exclude_categories=["Cs"]), max_size=20).map(
    lambda name: f"/{name}"
)
ACK_IDS = st.integers(0, ACK_ID_MAX)
NAMES = st.text().filter(lambda name: name not in RESERVED) | st.integers(-(1 << 53), 1 << 53)
ARGS = st.lists(values(st.binary(max_size=8)), max_size=2)
EVENTS = st.builds(
    lambda namespace, name, args, ack_id: Packet(PacketType.EVENT, namespace, [name, *args], ack_id),
    NAMESPACES, NAMES, ARGS, st.none() | ACK_IDS,
)  # fmt: skip
ACKS = st.builds(
    lambda namespace, args, ack_id: Packet(PacketType.ACK, namespace, args, ack_id), NAMESPACES, ARGS, ACK_IDS
)
OBJECTS = st.dictionaries(st.text(), values(), max_size=3)
OTHERS = (
    st.builds(lambda namespace, auth: Packet(PacketType.CONNECT, namespace, auth), NAMESPACES, st.none() | OBJECTS)
    | st.builds(lambda namespace: Packet(PacketType.DISCONNECT, namespace), NAMESPACES)
    | st.builds(lambda path, told: Packet(PacketType.CONNECT_ERROR, path, told), NAMESPACES, OBJECTS | st.text())
)


def receive(frame: Frame) -> Packet:
    """What the other side makes of a frame."""
    packet: Packet | None = decode(frame.text.decode())
    assert packet is not None
    assert packet.attachments == len(frame.attachments)
    if frame.attachments:
        assembler = Assembler(packet)
        for left, blob in enumerate(frame.attachments, 1 - len(frame.attachments)):
            packet = assembler.add(blob)
            assert (packet is None) == (left < 0)
    assert packet is not None
    return packet


def refused(text: str) -> str:
    with pytest.raises(MalformedPacket) as caught:
        decode(text)
    return str(caught.value)


@given(EVENTS | ACKS | OTHERS)
def test_a_packet_survives_the_wire(packet: Packet) -> None:
    assert receive(encode(packet)) == packet


@given(st.text() | st.from_regex(r"[0-6]([0-9]{1,2}-)?(/[^,]*,?)?[0-9]*[\[{\"].*", fullmatch=True))
def test_any_text_is_a_packet_or_malformed(text: str) -> None:
    try:
        packet = decode(text)
        if packet.attachments:
            Assembler(packet)
        else:
            encode(packet)
    except MalformedPacket:
        pass


@given(EVENTS | ACKS, st.integers(), st.characters())
def test_a_damaged_packet_is_a_packet_or_malformed(packet: Packet, place: int, wrong: str) -> None:
    frame = encode(packet)
    text = frame.text.decode()
    place %= len(text)
    try:
        damaged = decode(text[:place] + wrong + text[place + 1 :])
        if damaged.attachments:
            assembler = Assembler(damaged)
            for blob in (b"blob",) * damaged.attachments:
                assembler.add(blob)
    except MalformedPacket:
        pass


@given(EVENTS | ACKS)
def test_another_implementation_reads_what_is_sent(packet: Packet) -> None:
    frame = encode(packet)
    theirs: Any = ReferencePacket(encoded_packet=frame.text.decode())
    for blob in frame.attachments:
        theirs.add_attachment(blob)
    assert theirs.data == packet.data
    assert theirs.id == packet.ack_id
    assert (theirs.namespace or "/") == packet.namespace


@pytest.mark.parametrize(
    ("packet", "text"),
    [
        (Packet(PacketType.CONNECT), "0"),
        (Packet(PacketType.CONNECT, "/admin", {"sid": "x"}), '0/admin,{"sid":"x"}'),
        (Packet(PacketType.DISCONNECT), "1"),
        (Packet(PacketType.DISCONNECT, "/admin"), "1/admin,"),
        (Packet(PacketType.EVENT, "/", ["hey", 1, "é", None]), '2["hey",1,"é",null]'),
        (Packet(PacketType.EVENT, "/admin", ["hey"], 0), '2/admin,0["hey"]'),
        (Packet(PacketType.EVENT, "/", [1.5, {}], 12), "212[1.5,{}]"),
        (Packet(PacketType.ACK, "/", [], ACK_ID_MAX), f"3{ACK_ID_MAX}[]"),
        (Packet(PacketType.CONNECT_ERROR, "/x", {"message": "no"}), '4/x,{"message":"no"}'),
        (Packet(PacketType.CONNECT_ERROR, "/", "no"), '4"no"'),
    ],
)
def test_the_grammar_is_the_protocols(packet: Packet, text: str) -> None:
    frame = encode(packet)
    assert frame.text.decode() == text
    assert frame.attachments == ()
    assert decode(text) == packet


def test_the_fast_encoders_write_the_same_text() -> None:
    array: list[JSON] = ["name", {"a": "é"}, "epoch-12"]
    for path in ("/", "/events"):
        assert event_text(path, array) == encode(Packet(PacketType.EVENT, path, array)).text
    assert event_text("/events", array) == '2/events,["name",{"a":"é"},"epoch-12"]'.encode()


def test_a_frame_is_what_its_sender_says_it_is() -> None:
    frame = encode(Packet(PacketType.EVENT, "/", ["poll", b"x"]), Kind.VIEW, "poll:1")
    assert (frame.kind, frame.key) == (Kind.VIEW, "poll:1")


@pytest.mark.parametrize(
    ("text", "namespace"),
    [
        ("0/custom", "/custom"),
        ("0/custom,", "/custom"),
        ('0/custom,{"a":1}', "/custom"),
        ("0/,", "/"),
        ("0/custom?token=abc,", "/custom"),
        ("0/custom?token=abc", "/custom"),
        ("0/?token=abc,", "/"),
        ("0/" + "n" * (NAMESPACE_CHARS_MAX - 1) + ",", "/" + "n" * (NAMESPACE_CHARS_MAX - 1)),
        ('0/a\nb{"é"},', '/a\nb{"é"}'),
    ],
)
def test_a_namespace_ends_at_the_comma_the_query_or_the_end(text: str, namespace: str) -> None:
    assert decode(text).namespace == namespace


def test_a_namespace_is_bounded_and_unicode() -> None:
    assert refused("0/" + "n" * NAMESPACE_CHARS_MAX) == "namespace too long"
    assert refused("0/torn\ud83d") == "namespace is not Unicode"


@pytest.mark.parametrize("text", ["", "7", "9[]", "a", "[]", '"', "٣[]", "-1", " 2[]"])
def test_an_unknown_type_is_malformed(text: str) -> None:
    assert refused(text) == "unknown packet type"


@pytest.mark.parametrize("text", ['2["a"', "2{", '2,["a"]', '2/a,"torn', '20x["a"]', '2["a"] x', '2٣["a"]', "3 1[]"])
def test_bad_json_is_malformed(text: str) -> None:
    assert refused(text) == "bad JSON"


def test_json_too_deep_is_malformed() -> None:
    assert refused('2["a",' + "[" * 100_000) == "JSON nested too deep"


@pytest.mark.parametrize(
    "text",
    [
        "0[]", '0"text"', "0null", "0true", "0/x,1.5",
        "1{}", "1[]", "1null", "1/admin,{}",
        "2", "21", "2[]", "2{}", '2"a"', "2null", '2[true,"a"]', '2[null,"a"]', '2[{"toString":"a"}]', '2[["a"]]',
        "3", "31", "3[]", '3/x,["a"]', '31{"a":1}', '31"a"', "31null",
        "4", "4[]", "4null", "4true", '442["some"]',
        '51-[{"_placeholder":true,"num":0}]', '51-{"_placeholder":true,"num":0}', "61-[]",
    ],
)  # fmt: skip
def test_data_that_does_not_suit_the_type_is_malformed(text: str) -> None:
    refused(text)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_names_are_malformed(name: str) -> None:
    assert refused(f'2["{name}"]') == "an event's name is reserved"
    assert refused(f'51-["{name}",{{"_placeholder":true,"num":0}}]') == "an event's name is reserved"


def test_a_name_that_is_a_number_is_kept_as_it_is() -> None:
    assert decode("2[7]").data == [7]
    assert decode("2[7.5]").data == [7.5]


@pytest.mark.parametrize("ack_id", [str(ACK_ID_MAX + 1), "9" * 16, "9" * 4_301, "0" * 100])
def test_an_ack_id_that_javascript_cannot_hold_is_malformed(ack_id: str) -> None:
    assert refused(f'2{ack_id}["a"]') == "ack id out of range"
    assert refused(f"3{ack_id}[]") == "ack id out of range"


def test_half_an_emoji_is_for_the_layer_that_knows_the_field() -> None:
    assert decode('21["a",{"text":"\\ud83d"}]').data == ["a", {"text": "\ud83d"}]


@pytest.mark.parametrize("count", ["", "0-", "11-", "-", "a-", "1.0-", "-1-", "99999-", "1" * 5_000 + "-", "1", "٣-"])
def test_a_binary_packet_says_how_many_attachments_it_has(count: str) -> None:
    assert refused(f'5{count}["a",{{"_placeholder":true,"num":0}}]') == "bad number of attachments"
    assert refused(f'6{count}/x,1["a"]') == "bad number of attachments"


@pytest.mark.parametrize("text", ["01-", "11-", '21-["a"]', '31-1["a"]', "41-{}"])
def test_other_packets_have_no_attachments(text: str) -> None:
    assert refused(text) == "attachments on a packet that has none"


def test_binaries_leave_depth_first_and_come_back_in_their_places() -> None:
    data: list[JSON] = ["up", {"a": [b"0", {"b": bytearray(b"1")}], "c": memoryview(b"2")}, 5, b""]
    frame = encode(Packet(PacketType.EVENT, "/x", data, 3))
    assert frame.text == (
        b'54-/x,3["up",{"a":[{"_placeholder":true,"num":0},{"b":{"_placeholder":true,"num":1}}],'
        b'"c":{"_placeholder":true,"num":2}},5,{"_placeholder":true,"num":3}]'
    )
    assert frame.attachments == [b"0", b"1", b"2", b""]
    assert all(type(blob) is bytes for blob in frame.attachments)
    whole = receive(frame)
    assert whole == Packet(PacketType.EVENT, "/x", ["up", {"a": [b"0", {"b": b"1"}], "c": b"2"}, 5, b""], 3)
    assert data[3] == b""  # the sender's data is as it was


def test_a_binary_ack_comes_back_as_an_ack() -> None:
    frame = encode(Packet(PacketType.ACK, "/", [b"x"], 3))
    assert frame.text == b'61-3[{"_placeholder":true,"num":0}]'
    assert receive(frame) == Packet(PacketType.ACK, "/", [b"x"], 3)


def test_placeholders_may_come_in_any_order() -> None:
    packet = decode('52-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]')
    assembler = Assembler(packet)
    assert assembler.add(b"first") is None
    whole = assembler.add(b"second")
    assert whole is not None
    assert whole.data == ["a", b"second", b"first"]


@pytest.mark.parametrize(
    "placeholders",
    ['{"_placeholder":true,"num":1}', '{"_placeholder":true,"num":-1}', '{"_placeholder":true,"num":"splice"}',
     '{"_placeholder":true,"num":0.0}', '{"_placeholder":true,"num":true}', '{"_placeholder":true,"num":null}',
     '{"_placeholder":true}', '{"_placeholder":true,"num":0},[{"_placeholder":true,"num":0}]'],
)  # fmt: skip
def test_a_bad_placeholder_is_found_before_its_attachment_comes(placeholders: str) -> None:
    with pytest.raises(MalformedPacket, match="bad placeholder"):
        Assembler(decode(f'51-["a",{placeholders}]'))


@pytest.mark.parametrize("text", ['51-["a"]', '52-["a",{"_placeholder":true,"num":1}]', '51-["a",{"_placeholder":1}]'])
def test_an_attachment_without_a_place_is_malformed(text: str) -> None:
    with pytest.raises(MalformedPacket, match="without a placeholder"):
        Assembler(decode(text))


def test_a_placeholder_in_a_packet_without_attachments_is_data() -> None:
    array = ["a", {"_placeholder": True, "num": 0}]
    assert decode(event_text("/", array).decode()).data == array


def test_no_packet_is_made_that_clients_would_refuse() -> None:
    encode(Packet(PacketType.EVENT, "/", ["a", *[b"x"] * ATTACHMENTS_MAX]))
    with pytest.raises(ValueError, match="attachments"):
        encode(Packet(PacketType.EVENT, "/", ["a", *[b"x"] * (ATTACHMENTS_MAX + 1)]))
    with pytest.raises(ValueError, match="comma"):
        encode(Packet(PacketType.EVENT, "/a,b", ["a"]))
    with pytest.raises(TypeError):
        encode(Packet(PacketType.CONNECT, "/", {"sid": b"x"}))
    with pytest.raises(TypeError):
        encode(Packet(PacketType.EVENT, "/", ["a", object()]))
    with pytest.raises(TypeError):
        event_text("/", ["a", b"x"])
