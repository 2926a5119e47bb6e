"""The Socket.IO state machine, as a table: what each packet means in each state of a namespace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livehub.wire.frames import Kind
from livehub.wire.messages import MalformedPacket
from livehub.wire.sockets import (
    NAMESPACES_MAX,
    AckReceived,
    ConnectAsked,
    Disconnected,
    Event,
    EventReceived,
    ProtocolViolation,
    SocketProtocol,
)

DEADLINE_S = 45.0


def fresh() -> SocketProtocol:
    return SocketProtocol(DEADLINE_S)


def joined(*namespaces: str) -> SocketProtocol:
    protocol = fresh()
    for namespace in namespaces:
        protocol.receive("0" if namespace == "/" else f"0{namespace},")
        protocol.accept(namespace, "sid")
    return protocol


def test_a_client_connects_speaks_and_leaves() -> None:
    protocol = fresh()
    assert protocol.receive('0/chat,{"token":"t"}') == ConnectAsked("/chat", {"token": "t"})
    assert protocol.accept("/chat", "public", "private").text == b'0/chat,{"sid":"public","pid":"private"}'
    assert protocol.receive('2/chat,7["say",1,"a"]') == EventReceived("/chat", "say", [1, "a"], 7)
    assert protocol.receive("2/chat,[5]") == EventReceived("/chat", 5, [], None)
    assert protocol.receive("3/chat,9[null]") == AckReceived("/chat", 9, [None])
    assert protocol.receive("1/chat") == Disconnected("/chat")


def test_a_connect_without_auth_has_none() -> None:
    protocol = fresh()
    assert protocol.receive("0") == ConnectAsked("/", None)
    assert protocol.accept("/", "public").text == b'0{"sid":"public"}'


@pytest.mark.parametrize(
    ("data", "text"),
    [(None, b'4/chat,{"message":"No"}'), ({"code": 1}, b'4/chat,{"message":"No","data":{"code":1}}')],
)
def test_a_refused_client_may_ask_again(data: object, text: bytes) -> None:
    protocol = fresh()
    protocol.receive("0/chat,")
    assert protocol.refuse("/chat", "No", data).text == text
    assert protocol.receive("0/chat,") == ConnectAsked("/chat", None)


def test_control_packets_are_never_dropped() -> None:
    protocol = fresh()
    protocol.receive("0")
    protocol.receive("0/a,")
    frames = [protocol.accept("/", "sid"), protocol.refuse("/a", "No"), protocol.leave("/")]
    assert [frame.kind for frame in frames] == [Kind.CONTROL] * 3


@pytest.mark.parametrize(
    "packet", ['2["a"]', '2/other,["a"]', '31["a"]', "1", '51-["a",{"_placeholder":true,"num":0}]']
)
def test_nothing_is_served_before_connect_while_joining_or_elsewhere(packet: str) -> None:
    with pytest.raises(ProtocolViolation, match="not joined"):
        fresh().receive(packet)
    joining = fresh()
    joining.receive("0")
    with pytest.raises(ProtocolViolation, match="not joined"):
        joining.receive(packet)
    with pytest.raises(ProtocolViolation, match="not joined"):
        joined("/chat").receive(packet)


def test_a_second_connect_is_a_violation_while_joining_and_when_joined() -> None:
    protocol = fresh()
    protocol.receive("0")
    with pytest.raises(ProtocolViolation, match="second"):
        protocol.receive("0")
    with pytest.raises(ProtocolViolation, match="second"):
        joined("/").receive("0")


def test_a_connect_error_from_a_client_is_a_violation() -> None:
    for protocol in (fresh(), joined("/")):
        with pytest.raises(ProtocolViolation, match="connect error"):
            protocol.receive('4{"message":"no"}')


def test_what_is_malformed_is_said_to_be() -> None:
    with pytest.raises(MalformedPacket, match="unknown packet type"):
        joined("/").receive("hello")


def test_after_leaving_events_are_violations_and_other_namespaces_go_on() -> None:
    protocol = joined("/", "/chat")
    protocol.receive("1/chat,")
    assert protocol.receive('2["a"]') == EventReceived("/", "a", [], None)
    with pytest.raises(ProtocolViolation):
        protocol.receive('2/chat,["a"]')


def test_after_being_shown_out_events_are_violations() -> None:
    protocol = joined("/", "/chat")
    assert protocol.leave("/chat").text == b"1/chat,"
    with pytest.raises(ProtocolViolation):
        protocol.receive('2/chat,["a"]')


def test_goodbyes_that_cross_are_no_violation() -> None:
    protocol = joined("/")
    assert protocol.leave("/").text == b"1"
    assert protocol.receive("1") is None
    with pytest.raises(ProtocolViolation):
        protocol.receive("1")


def test_a_namespace_that_was_left_can_be_joined_again() -> None:
    protocol = joined("/")
    protocol.receive("1")
    assert protocol.receive("0") == ConnectAsked("/", None)
    protocol.accept("/", "sid")
    protocol.leave("/")
    assert protocol.receive("0") == ConnectAsked("/", None)
    with pytest.raises(ProtocolViolation):
        protocol.receive("1")  # not the goodbye that crossed: it is joining


def test_attachments_make_one_event() -> None:
    protocol = joined("/")
    assert protocol.receive('52-1["up",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]') is None
    assert protocol.receive(b"one") is None
    assert protocol.receive(b"two") == EventReceived("/", "up", [b"one", b"two"], 1)
    assert protocol.receive('61-4[{"_placeholder":true,"num":0}]') is None
    assert protocol.receive(b"x") == AckReceived("/", 4, [b"x"])


def test_text_while_attachments_are_pending_is_a_violation() -> None:
    protocol = joined("/")
    protocol.receive('51-["up",{"_placeholder":true,"num":0}]')
    with pytest.raises(ProtocolViolation, match="pending"):
        protocol.receive('2["a"]')


def test_binary_without_a_header_is_a_violation() -> None:
    protocol = joined("/")
    with pytest.raises(ProtocolViolation, match="without a header"):
        protocol.receive(b"x")
    protocol.receive('51-["up",{"_placeholder":true,"num":0}]')
    protocol.receive(b"x")
    with pytest.raises(ProtocolViolation, match="without a header"):
        protocol.receive(b"y")


def test_a_header_with_a_bad_placeholder_is_malformed_at_once() -> None:
    with pytest.raises(MalformedPacket, match="bad placeholder"):
        joined("/").receive('51-["up",{"_placeholder":true,"num":7}]')


def test_the_deadline_is_over_with_the_first_namespace_for_good() -> None:
    protocol = fresh()
    assert protocol.connect_deadline == DEADLINE_S
    protocol.receive("0")
    protocol.refuse("/", "No")
    assert protocol.connect_deadline == DEADLINE_S
    protocol.receive("0")
    protocol.accept("/", "sid")
    assert protocol.connect_deadline is None
    protocol.receive("1")
    assert protocol.connect_deadline is None


def test_namespaces_are_counted() -> None:
    protocol = joined(*(f"/{number}" for number in range(NAMESPACES_MAX)))
    assert not protocol.crowded
    protocol.receive("0/more,")
    assert protocol.crowded
    protocol.refuse("/more", "Too many namespaces")
    assert not protocol.crowded
    assert protocol.receive('2/0,["a"]') == EventReceived("/0", "a", [], None)


MESSAGES = st.sampled_from(
    ["0", "0/a", '0/a,{"t":1}', "1", "1/a,", '2["e"]', '2/a,3["e",{}]', "31[]", '3/a,1["x"]', "2[]", "4{}", "x", b"",
     b"blob", '51-["e",{"_placeholder":true,"num":0}]', '52-/a,["e",{"_placeholder":true,"num":0}]',
     '51-/a,["e",{"_placeholder":true,"num":0}]', '61-1[{"_placeholder":true,"num":0}]'],
)  # fmt: skip
DECISIONS = st.sampled_from(["accept", "refuse", "later"])


@given(st.lists(st.tuples(MESSAGES | st.text() | st.binary(), DECISIONS, st.booleans()), max_size=30))
def test_events_come_only_from_where_the_client_is(script: list[tuple[str | bytes, str, bool]]) -> None:
    protocol, inside = fresh(), set()
    for data, decision, shown_out in script:
        try:
            event: Event | None = protocol.receive(data)
        except (MalformedPacket, ProtocolViolation):
            return
        if isinstance(event, ConnectAsked):
            assert event.namespace not in inside
            if decision == "accept":
                protocol.accept(event.namespace, "sid")
                inside.add(event.namespace)
            elif decision == "refuse":
                protocol.refuse(event.namespace, "No")
        elif event is not None:
            assert event.namespace in inside
            if isinstance(event, Disconnected):
                inside.remove(event.namespace)
            elif shown_out:
                protocol.leave(event.namespace)
                inside.remove(event.namespace)
