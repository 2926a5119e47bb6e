"""The namespace `/events`: contract 1, the canonical vocabulary. Features declare the names, this speaks them.

An ack is `{"success": true, …}` or `{"success": false, "error": {"message", "statusCode"}}` (contracts, points 6, 14);
what fails without an ack is told to its sender alone, as `systemError`.
"""

from __future__ import annotations

import logging
from functools import partial

from livehub.contracts.entrance import Entered, Entrance
from livehub.contracts.socket import Socket
from livehub.errors import AuthFailed, Refused
from livehub.feature import JSON
from livehub.rooms.catalog import Catalog
from livehub.rooms.fanout import NOBODYS, Fanout, Told
from livehub.rooms.gate import Gate, Knock
from livehub.rooms.peer import Answer, Peer
from livehub.wire.frames import Frame, Kind
from livehub.wire.messages import ack_text, event_text

NAMESPACE = "/events"
CLIENT_LEFT = "client_disconnect"

log = logging.getLogger(__name__)


class EventsVocabulary:
    """Facts and views under the names that features declare. What they do not declare is not for clients here."""

    def __init__(self, catalog: Catalog) -> None:
        self._shown = catalog.shown
        self._spoken = {emits.name for _, emits in catalog.emits}
        self._views = catalog.own_of_views

    def fact(self, told: Told) -> bytes | None:
        """See `livehub.rooms.fanout.Vocabulary`."""
        shown = self._shown.get(told.name)
        if shown is None or (payload := shown.payload(told.data, told.audience)) is None:
            return None
        if shown.own is not None and told.own is not NOBODYS:
            payload = shown.own.fitted(payload, told.own)
        return event_text(NAMESPACE, [shown.event, payload, told.offset])

    def event(self, told: Told) -> bytes | None:
        """See `livehub.rooms.fanout.Vocabulary`."""
        if told.name not in self._spoken:
            return None
        payload = told.data if told.own is NOBODYS else self._views[told.name].fitted(told.data, told.own)
        return event_text(NAMESPACE, [told.name, payload])


class Events:
    """What happens on `/events`."""

    def __init__(self, entrance: Entrance, gate: Gate, fanout: Fanout) -> None:
        self._entrance = entrance
        self._gate = gate
        self._fanout = fanout

    async def connect(self, socket: Socket, auth: dict[str, JSON]) -> None:
        """Let a client in, or tell it why not and show it out (contracts, point 2)."""
        try:
            entered = await self._entrance.enter(socket, auth)
        except AuthFailed as failed:
            _turn_away(socket, "Authentication failed", failed.reason)
        except Refused as refusal:
            _turn_away(socket, refusal.message, refusal.code)
        else:
            socket.connection.at_once(partial(self._welcome, socket, entered))

    async def event(self, socket: Socket, name: JSON, args: list[JSON], ack_id: int | None) -> None:
        """Bring an event to the gate."""
        peer = socket.data
        assert isinstance(peer, Peer)
        try:
            who = self._entrance.who(peer)
        except AuthFailed:
            return  # being shown out at this moment
        knock = Knock(who, partial(self._answer, socket, peer, ack_id), peer=peer)
        if not peer.asks():
            await peer.ask()
        if len(args) > 1 and any(extra is not None for extra in args[1:]):
            knock.reply(Refused("An event takes one payload", code="invalid_payload"))
            return
        await self._gate.ask(name, args[0] if args else None, knock)

    def gone(self, socket: Socket, reason: str) -> None:
        """The client left, or its connection did."""
        if isinstance(socket.data, Peer):
            self._entrance.leave(socket.data, for_good=reason == CLIENT_LEFT)

    def _answer(self, socket: Socket, peer: Peer, ack_id: int | None, result: Answer | Refused) -> None:
        peer.answered()
        if isinstance(result, Refused):
            _refuse(socket, ack_id, result)
        elif result.snapshot is not None:
            socket.connection.at_once(partial(_show_room, socket, ack_id, result))
        elif ack_id is not None:
            text = ack_text(NAMESPACE, ack_id, [_told(result)])
            self._fanout.answer(peer, Frame(text, kind=Kind.ACK))

    def _welcome(self, socket: Socket, entered: Entered) -> None:
        peer = entered.peer
        socket.data = peer
        socket.accept(peer.sid, entered.pid)
        if not socket.connected:  # it went away while its past was being read
            self._entrance.leave(peer, for_good=False)
            return
        socket.emit("connectionAcknowledged", {"userId": peer.person.id}, self._fanout.offset(entered.head))
        for event, payload in entered.waiting:
            socket.emit(event, payload)
        peer.release()


def _turn_away(socket: Socket, message: str, reason: str) -> None:
    socket.accept()
    socket.emit("systemError", {"message": message, "reason": reason})
    socket.disconnect()


def _told(answer: Answer) -> dict[str, JSON]:
    told = {"success": True, **answer.reply}
    if answer.replayed:
        told["replayed"] = True
    return told


def _show_room(socket: Socket, ack_id: int | None, answer: Answer) -> None:
    if ack_id is not None:
        socket.acknowledge(ack_id, _told(answer))
    socket.emit(f"{answer.kind}.snapshot", {**answer.reply, **(answer.snapshot or {})}, answer.offset)


def _refuse(socket: Socket, ack_id: int | None, refusal: Refused) -> None:
    if ack_id is not None:
        socket.acknowledge(ack_id, refusal.body())
        return
    told: dict[str, JSON] = {"message": refusal.message, "reason": refusal.code}
    if refusal.retry_after_ms is not None:
        told["retryAfterMs"] = refusal.retry_after_ms
    socket.emit("systemError", told, kind=Kind.ACK)
