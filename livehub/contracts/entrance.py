"""The entrance: whoever connects, in any namespace, is checked here, and everybody who is inside is known here.

The token is verified again at every connection and every recovery. An earlier connection with the same ticket is shown
out in the same step in which the new one takes its place, so that its end, whenever it comes, tears nothing down.
"""

from __future__ import annotations

import logging
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import trio

from livehub.auth import Verifier
from livehub.contracts.directory import Directory
from livehub.contracts.socket import Socket, Timer
from livehub.errors import AuthFailed, Refused
from livehub.feature import JSON, Person
from livehub.guests import Guests, is_guests
from livehub.ports import Entry, SeatRecord, Tenure
from livehub.rooms.commit import unseen
from livehub.rooms.house import House
from livehub.rooms.peer import Peer
from livehub.rooms.recovery import LEFT, CannotRecover, Recovery
from livehub.rooms.tickets import SID_BYTES, Ticket, read_ticket, write_ticket

log = logging.getLogger(__name__)

EXPELLED_CLOSE_S = 0.5
"""After its `41` a stock client closes by itself and stays away; closed at once, it would take it for an accident."""

CallAt: TypeAlias = Callable[[float, Callable[[], None]], Timer]


@dataclass(frozen=True, slots=True)
class EntranceLimits:
    """What is allowed at the entrance; None is no limit."""

    connections_per_user_max: int | None = 20
    expiry_grace_s: float = 30.0
    held_bytes_max: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Entered:
    """A peer that was let in: its private ticket, and up to which seq it has heard."""

    peer: Peer
    pid: str
    head: int
    waiting: Sequence[tuple[str, JSON]] = ()  # events for this connection alone, after it is acknowledged


@dataclass(slots=True)
class _Inside:
    socket: Socket
    peer: Peer
    expiry: Timer


class Entrance:
    """Lets people in, brings them back, and shows them out."""

    def __init__(
        self,
        house: House,
        verifier: Verifier,
        guests: Guests,
        directory: Directory,
        recovery: Recovery,
        call_at: CallAt,
        limits: EntranceLimits,
    ) -> None:
        self._house = house
        self._hub = house.hub
        self._verifier = verifier
        self._guests = guests
        self._directory = directory
        self._recovery = recovery
        self._call_at = call_at
        self._limits = limits
        self.farewells: dict[str, Callable[[Socket, str], None]] = {}  # by namespace: how a contract says why
        self._inside: dict[str, _Inside] = {}  # by sid
        self._sids: dict[str, set[str]] = {}  # by person
        self._tenure = Tenure()

    def identify(self, token: object) -> tuple[Person, float]:
        """Who brings this token, under the name they are known by, and until when (seconds since 1970).

        Raises `AuthFailed`.
        """
        try:
            if not isinstance(token, str) or not token:
                raise AuthFailed("token_missing")  # noqa: TRY301 - counted like every other reason
            if is_guests(token):
                identity = self._guests.verify(token, self._hub.clock_ms() / 1000)
            else:
                identity = self._verifier.verify(token)
            return self._directory.recognise(identity.person), identity.expires_at_s
        except AuthFailed as failed:
            self._hub.meter.refused(failed.reason)
            raise

    async def enter(self, socket: Socket, auth: Mapping[str, JSON]) -> Entered:
        """Let a socket in. What its peer would hear is held until `peer.release()`. Raises `AuthFailed`, `Refused`."""
        headers = socket.connection.handshake.headers
        person, expires_s = self.identify(auth.get("token") or headers.get("authorization"))
        await self._directory.meet(person)
        ticket = read_ticket(self._hub.store.secret, auth.get("pid"), socket.namespace, person.id)
        if ticket is not None:
            try:
                return await self._come_back(socket, person, expires_s, ticket, auth.get("offset"))
            except CannotRecover as cannot:
                self._hub.meter.refused(cannot.reason)
        made_ms = self._hub.clock_ms()
        new = Ticket(urlsafe_b64encode(secrets.token_bytes(SID_BYTES)).decode(), made_ms)
        peer = self._admit(socket, person, expires_s, new)
        if auth.get("pid") is not None:
            self._start_anew(peer)
        peer.hold(self._limits.held_bytes_max)
        head = 0

        def subscribe() -> None:
            nonlocal head
            if not peer.gone:
                self._hub.fanout.subscribe(peer, [peer.user_audience])
            head = self._hub.store.head

        try:
            waiting = await self._house.greet(peer, subscribe)
        except BaseException:
            self._forget_if_inside(peer)
            raise
        return Entered(peer, self._pid(new, peer), head, waiting)

    def who(self, peer: Peer) -> Person:
        """A peer's person as they are known now: renamed since, maybe. Raises `AuthFailed` when deactivated."""
        return self._directory.recognise(peer.person)

    def leave(self, peer: Peer, *, for_good: bool) -> None:
        """The connection is gone; `for_good` when the client said so: then its ticket is worth nothing any more."""
        rooms = list(peer.seats)
        self._forget_if_inside(peer)
        if peer.gone:
            return
        self._house.vacate(peer)
        if for_good:
            self._house.leavers.forget(peer.sid)
            now_ms = self._hub.clock_ms()
            entry = Entry(self._tenure, "", now_ms, lambda _: None)
            entry.leaves = [(peer.sid, room) for room in rooms]
            entry.takes = [SeatRecord(peer.sid, LEFT, peer.person.id, (), 0, now_ms)]
            self._hub.store.submit(entry)

    def cut_off(self, user_id: str, reason: str) -> None:
        """Show a person out of every connection they have."""
        for sid in list(self._sids.get(user_id, ())):
            self._expel(sid, self._inside[sid].peer, reason)

    def sockets_of(self, user_id: str, namespace: str) -> list[Socket]:
        """The sockets of a person in a namespace."""
        inside = [self._inside[sid].socket for sid in self._sids.get(user_id, ())]
        return [socket for socket in inside if socket.namespace == namespace]

    def sids(self) -> Iterator[str]:
        """The sids of everybody inside."""
        return iter(self._inside)

    def _start_anew(self, peer: Peer) -> None:
        """Its past could not be given back: until it has heard something newer, there is nothing to recover either."""
        peer.starts_anew, peer.unseen = True, self._hub.store.head + 1
        now_ms = self._hub.clock_ms()
        entry = Entry(self._tenure, "", now_ms, lambda _: None)
        entry.takes = [unseen(peer, peer.unseen, now_ms)]
        self._hub.store.submit(entry)

    async def _come_back(
        self, socket: Socket, person: Person, expires_s: float, ticket: Ticket, offset: object
    ) -> Entered:
        if (before := self._inside.get(ticket.sid)) is not None:
            self._forget(before.peer)
            self._house.vacate(before.peer)
            before.socket.connection.abort("superseded")
        peer = self._admit(socket, person, expires_s, ticket)
        try:
            head = await self._recovery.recover(peer, ticket, offset, socket.connection.drained)
        except BaseException:
            self._forget_if_inside(peer)
            raise
        return Entered(peer, self._pid(ticket, peer), head)

    def _admit(self, socket: Socket, person: Person, expires_s: float, ticket: Ticket) -> Peer:
        sids = self._sids.setdefault(person.id, set())
        most = self._limits.connections_per_user_max
        if most is not None and len(sids) >= most:
            self._hub.meter.refused("too_many_connections")
            raise Refused(f"Too many connections: a person may have {most}", 429, code="too_many_connections")
        peer = Peer(
            ticket.sid,
            person,
            socket.connection,
            lambda: socket.connection.abort("slow"),
            vocabulary=socket.namespace,
            query=socket.connection.handshake.query,
        )
        left_s = expires_s + self._limits.expiry_grace_s - self._hub.clock_ms() / 1000
        expiry = self._call_at(trio.current_time() + left_s, lambda: self._expel(ticket.sid, peer, "token_expired"))
        sids.add(ticket.sid)
        self._inside[ticket.sid] = _Inside(socket, peer, expiry)
        return peer

    def _forget_if_inside(self, peer: Peer) -> None:
        if (inside := self._inside.get(peer.sid)) is not None and inside.peer is peer:
            self._forget(peer)

    def _forget(self, peer: Peer) -> None:
        self._inside.pop(peer.sid).expiry.cancel()
        sids = self._sids[peer.person.id]
        sids.discard(peer.sid)
        if not sids:
            del self._sids[peer.person.id]

    def _expel(self, sid: str, peer: Peer, reason: str) -> None:
        inside = self._inside.get(sid)
        if inside is None or inside.peer is not peer:
            return
        if not inside.socket.connected:
            inside.socket.connection.abort(reason)
            return
        self._hub.meter.refused(reason)
        self.farewells.get(inside.socket.namespace, _system_error)(inside.socket, reason)
        connection = inside.socket.connection
        inside.socket.disconnect()
        self._call_at(trio.current_time() + EXPELLED_CLOSE_S, lambda: connection.close(reason))

    def _pid(self, ticket: Ticket, peer: Peer) -> str:
        return write_ticket(self._hub.store.secret, ticket, peer.vocabulary, peer.person.id)


def _system_error(socket: Socket, reason: str) -> None:
    socket.emit("systemError", {"message": "Authentication failed", "reason": reason})
