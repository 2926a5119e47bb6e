"""The namespace `/polling`: contract 4, live polling. A connection, one session, votes; presenters use REST.

A client says where it stands with `lastEventId`, and is either told exactly what it missed since, or the whole state
and why. It needs no ticket for that: who somebody is and where they take part is known from their token.

The order on a connection is always the same: `connection:established`, then `connection:reconnected` and what was
missed, or `session:state`; then what is new.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import trio

import livehub
from livehub.contracts.entrance import Entrance
from livehub.contracts.pollwords import HEARTBEAT, HEARTBEATS, NAMESPACE, stamped, state_shown
from livehub.contracts.socket import Socket
from livehub.errors import AuthFailed, Refused
from livehub.feature import JSON, Via
from livehub.rooms.fanout import Told
from livehub.rooms.gate import Gate, Knock
from livehub.rooms.house import House
from livehub.rooms.peer import Answer, Peer
from livehub.rooms.recovery import CannotRecover, Recovery
from livehub.rooms.request import Awaited
from livehub.wire.frames import Kind

CLIENT_LEFT = "client_disconnect"
VOTE = "vote:submitted"

log = logging.getLogger(__name__)


class Polling:
    """What happens on `/polling`."""

    def __init__(self, entrance: Entrance, gate: Gate, house: House, recovery: Recovery, *, heartbeat_s: float) -> None:
        self._entrance = entrance
        self._gate = gate
        self._house = house
        self._hub = house.hub
        self._recovery = recovery
        self._heartbeat_s = heartbeat_s
        entrance.farewells[NAMESPACE] = self._farewell

    async def beat(self) -> None:
        """Send heartbeats until cancelled: one frame for everybody."""
        while True:
            await trio.sleep(self._heartbeat_s)
            self._hub.fanout.show(self._told(HEARTBEAT, "", HEARTBEATS))

    async def connect(self, socket: Socket, auth: dict[str, JSON]) -> None:
        """Let a client in and bring it up to date, or refuse its CONNECT."""
        known = {name: value for name, value in auth.items() if name not in ("pid", "offset")}
        try:
            entered = await self._entrance.enter(socket, known)
        except AuthFailed as failed:
            socket.refuse("Authentication failed", {"reason": failed.reason})
            return
        except Refused as refusal:
            socket.refuse(refusal.message, {"reason": refusal.code})
            return
        peer = entered.peer
        socket.data = peer
        socket.accept(peer.sid)
        if not socket.connected:
            self._entrance.leave(peer, for_good=False)
            return
        self._hub.fanout.subscribe(peer, [HEARTBEATS])
        session_id = _named(auth, peer.query, "sessionId") or peer.person.session
        last = _named(auth, peer.query, "lastEventId") or str(auth.get("lastEventId") or "")[:64]
        about = {"connectionId": peer.sid, "serverVersion": livehub.__version__}
        stands = last if self._recovery.knows(last) else self._hub.fanout.offset(0)
        self._emit(socket, "connection:established", session_id, about, stands)
        if session_id:
            await self._take_part(socket, peer, session_id, last)
        if not peer.gone:
            peer.release()

    async def event(self, socket: Socket, name: JSON, args: list[JSON], ack_id: int | None) -> None:
        """A vote, or a heartbeat."""
        peer = socket.data
        assert isinstance(peer, Peer)
        data = args[0] if args else None
        reply = partial(self._answer, socket, peer, name, data, ack_id)
        try:
            who = self._entrance.who(peer)
        except AuthFailed:
            return  # being shown out at this moment
        await peer.ask()
        if name == HEARTBEAT:
            reply(Answer({}))
        elif name != VOTE:
            reply(Refused(f"Unknown event {str(name)[:64]!r}", 404, code="unknown_event"))
        else:
            await self._gate.ask("poll.vote.cast", data, Knock(who, reply, door=Via.CONTRACT, peer=peer))

    def gone(self, socket: Socket, reason: str) -> None:
        """The client left, or its connection did."""
        if isinstance(socket.data, Peer):
            self._hub.fanout.unsubscribe(socket.data, [HEARTBEATS])
            self._entrance.leave(socket.data, for_good=reason == CLIENT_LEFT)

    async def admitted(self, user_id: str, session_id: str) -> None:
        """Somebody has joined over REST: their open connections here take part from now on (contracts, point 31)."""
        for socket in self._entrance.sockets_of(user_id, NAMESPACE):
            peer = socket.data
            if isinstance(peer, Peer) and not peer.gone and f"session:{session_id}" not in peer.seats:
                await self._take_part(socket, peer, session_id, "")

    async def _take_part(self, socket: Socket, peer: Peer, session_id: str, last: str) -> None:
        """Seat a peer, and bring it up to date."""
        head = 0

        def seated() -> None:
            nonlocal head
            head = self._hub.store.head  # in the step in which it begins to hear: what is older was missed

        joined = await self._ask("session.join", session_id, peer, Via.SOCKET, seated)
        if isinstance(joined, Refused):
            self._fault(socket, session_id, "session.join", session_id, joined)
            return
        if last:
            try:
                missed = await self._recovery.missed_since(peer, last, head)
            except CannotRecover as cannot:
                self._hub.meter.refused(cannot.reason)
                await self._show_state(socket, peer, session_id, head, cannot.reason)
                return
            frames = list(self._recovery.frames(peer, missed))
            about = {"connectionId": peer.sid, "replayFrom": last, "replayCount": len(frames)}
            self._emit(socket, "connection:reconnected", session_id, about, last)
            await self._recovery.write(peer, frames, socket.connection.drained)
        else:
            await self._show_state(socket, peer, session_id, head, "")

    async def _show_state(self, socket: Socket, peer: Peer, session_id: str, head: int, reason: str) -> None:
        state = await self._ask("session.state", session_id, peer, Via.REST, lambda: None)
        if isinstance(state, Refused):
            self._fault(socket, session_id, "session.state", session_id, state)
            return
        why = {"reason": reason} if reason else {}
        offset = self._hub.fanout.offset(head)
        self._emit(socket, "session:state", session_id, {**state_shown(state.reply), **why}, offset)

    async def _ask(
        self, command: str, session_id: str, peer: Peer, door: Via, done: Callable[[], None]
    ) -> Answer | Refused:
        awaited = Awaited()

        def reply(answer: Answer | Refused) -> None:
            done()
            awaited(answer)

        await self._gate.ask(command, {}, Knock(peer.person, reply, door=door, peer=peer, room_id=session_id))
        return await awaited.answer()

    def _answer(
        self, socket: Socket, peer: Peer, name: JSON, data: JSON, ack_id: int | None, result: Answer | Refused
    ) -> None:
        peer.answered()
        session_id = next((room.partition(":")[2] for room in peer.seats if room.startswith("session:")), "")
        if isinstance(result, Refused):
            entity = data.get("pollId") if isinstance(data, dict) else None
            self._fault(socket, session_id, str(name)[:64], "" if entity is None else str(entity)[:128], result)
            ack = result.body()
        elif (rejected := result.reply.get("rejected")) is not None:
            self._emit(socket, "vote:rejected", session_id, rejected)
            self._hub.meter.refused(rejected["reason"])
            error = {"message": rejected["message"], "statusCode": 409}
            ack = {"success": False, "error": error, "reason": rejected["reason"]}
        else:
            if (accepted := result.reply.get("accepted")) is not None:
                told = {**accepted, **result.reply.get("counts", {})}
                self._emit(socket, "vote:accepted", session_id, told)
                ack = {"success": True, **accepted}
            else:
                ack = {"success": True}
            if result.replayed:
                ack["replayed"] = True
        if ack_id is not None:
            socket.acknowledge(ack_id, ack)

    def _farewell(self, socket: Socket, reason: str) -> None:
        told = {"errorCode": reason, "message": "Authentication failed", "requestContext": {}}
        self._emit(socket, "error:general", "", told)

    def _fault(self, socket: Socket, session_id: str, name: str, entity_id: str, refusal: Refused) -> None:
        context = {"eventName": name, **({"entityId": entity_id} if entity_id else {})}
        told: dict[str, JSON] = {"errorCode": refusal.code, "message": refusal.message, "requestContext": context}
        if refusal.retry_after_ms is not None:
            told["retryAfterMs"] = refusal.retry_after_ms
        self._emit(socket, "error:general", session_id, told)

    def _emit(
        self, socket: Socket, name: str, session_id: str, payload: dict[str, JSON], offset: str | None = None
    ) -> None:
        """Tell one client. What it is told of where it stands is never ahead of what it was given."""
        told = self._told(name, f"session:{session_id}", "")
        told = told if offset is None else replace(told, offset=offset)
        socket.emit(name, stamped(payload, told), kind=Kind.ACK)

    def _told(self, name: str, room: str, audience: str) -> Told:
        fanout, waiting = self._hub.fanout, self._hub.fanout.told_seq
        seq = self._hub.store.head if waiting is None else waiting
        return Told(name, {}, fanout.offset(seq), self._hub.clock_ms(), room, audience)


def _named(auth: Mapping[str, JSON], query: Mapping[str, str], field: str) -> str:
    """A text from `auth`, else from the handshake's query."""
    value = auth.get(field) or query.get(field) or ""
    return value if isinstance(value, str) else ""
