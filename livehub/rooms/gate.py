"""The gate: what an ask must pass before it reaches a room. Payload, permission, rate, idempotency; one place refuses.

Everything it checks is declared beside the command. Fields that every event accepts (`sessionId`, `eventId`,
`idempotencyKey`: contracts, point 22) are taken out first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import trio

from livehub.declared import MOVES
from livehub.errors import Refused, Unavailable
from livehub.feature import JSON, Command, Key, OutsideId, Person, Seating, Uuid, Via
from livehub.lean import lean
from livehub.rooms.house import House
from livehub.rooms.keys import digest
from livehub.rooms.payloads import checker, structure, wire_fields
from livehub.rooms.peer import Peer, Seat
from livehub.rooms.rates import Rates
from livehub.rooms.request import Reply, Request, any_seed

EVENT_NAME_SHOWN_CHARS_MAX = 64
NAMES_REMEMBERED = 1_024
_COMMON = ("sessionId", "eventId", "idempotencyKey")
_COMMON_ONES = frozenset(_COMMON)
_TAKES, _BOTH, _REQUIRED = Seating.TAKES, Via.BOTH, Key.REQUIRED  # to look one up in its enum takes 50 ns each time
_ROOM_FIXED = {"directory": "users", "registry": "sessions"}

_outside_id = checker(OutsideId)
_uuid = checker(Uuid)


@lean
class Knock:
    """Somebody wants something: who, through which door, and whom to answer."""

    who: Person
    reply: Reply
    door: Via = Via.SOCKET
    peer: Peer | None = None
    room_id: str | None = None  # named by the URL


class Gate:
    """Lets asks through to their rooms, or answers why not.

    `seeds` draws the seeds of commands for which not every one will do; any other ask gets one of its own.
    """

    def __init__(
        self, house: House, *, rates: Rates | None, seeds: Mapping[str, Callable[[], int]] | None = None
    ) -> None:
        self._house = house
        self._hub = house.hub
        self._rates = rates
        self._seeds = seeds or {}

    async def ask(self, name: JSON, data: JSON, knock: Knock) -> None:
        """Bring an ask to its room. The reply is called once: with the answer, or with why it was refused."""
        try:
            await self._ask(name, data, knock)
        except Refused as refusal:
            self._hub.meter.refused(refusal.code)
            knock.reply(refusal)

    async def _ask(self, name: JSON, data: JSON, knock: Knock) -> None:
        command = self._command(name, knock.door)
        fields, own = _split(data, wire_fields(command.payload))
        room = self._room(command, fields, knock)
        payload: object = structure(own, command.payload)
        key = _key(command, fields, knock.door)
        who, peer = knock.who, knock.peer
        self._check(command, room, who)
        seed = self._seeds.get(command.name, any_seed)()
        request = Request(command, payload, self._hub.clock_ms(), seed, knock.reply, who, peer)
        if not who.session:  # events are not a guest's to name
            request.event_id = _event(fields, peer)
        # A seat is taken or given up by this connection: a repetition on another one must happen, and does no harm.
        if key is not None and command.seat not in MOVES:
            wanted = digest(command.name, room, own)
            request.claim = self._hub.keys.claim_new(who.id, key, wanted)
            if request.claim is None:
                request.claim = await self._hub.keys.claim(who.id, key, wanted, knock.reply)
            if request.claim is None:
                return
        coming: Seat | None = None
        if command.seat is _TAKES and peer is not None:
            coming = Seat(room, ())
            peer.seats.setdefault(room, coming)
        try:
            if not self._house.put(room, request):
                await self._house.ask(room, request)
        except BaseException as error:  # refused, or given up by whoever waited at a full inbox
            if peer is not None and coming is not None and peer.seats.get(room) is coming:
                del peer.seats[room]
            if request.claim is not None:
                self._hub.keys.settle(request.claim, error if isinstance(error, Refused) else Unavailable())
            raise

    def _command(self, name: JSON, door: Via) -> Command:
        command = self._hub.catalog.commands.get(name) if isinstance(name, str) else None
        if command is None or command.via not in (door, _BOTH):
            shown = str(name)[:EVENT_NAME_SHOWN_CHARS_MAX]
            raise Refused(f"Unknown event {shown!r}", 404, code="unknown_event")
        return command

    def _room(self, command: Command, fields: Mapping[str, JSON], knock: Knock) -> str:
        """Which room is meant (contracts, point 1)."""
        given = _given(fields) if fields else fields
        kind, field = command.room, command.named_by
        if kind in _ROOM_FIXED:
            return f"{kind}:{_ROOM_FIXED[kind]}"
        if knock.room_id is not None:
            return f"{kind}:{_outside_id(knock.room_id, field)}"
        if kind == "user":
            return f"user:{knock.who.id}"
        room_id = given.get(field)
        if room_id is None and knock.peer is not None:
            room_id = self._implied(kind, field, knock.peer)
        if room_id is None:
            raise Refused(f"{field.removesuffix('Id').capitalize()} ID is required", code="room_missing")
        return f"{kind}:{room_id}"

    def _implied(self, kind: str, field: str, peer: Peer) -> str | None:
        """From the handshake, else the one room of the kind where the peer sits, else the one its rooms belong to."""
        named = peer.query.get(field)
        if named:
            return _named(named, field)
        seated = {name for name in peer.seats if name.startswith(f"{kind}:")}
        if not seated:
            rooms = [room for name in peer.seats if (room := self._house.rooms.get(name)) is not None]
            seated = {room.state.part_of for room in rooms if room.state.part_of.startswith(f"{kind}:")}
        return seated.pop().split(":", 1)[1] if len(seated) == 1 else None

    def _check(self, command: Command, room: str, who: Person) -> None:
        stranger = who.session and room != f"session:{who.session}"  # a guest, outside the session they came for
        if stranger or (command.needs and not any(map(who.can, command.needs))):
            raise Refused("You do not have permission", 403, code="forbidden")
        if self._rates is None or command.rate is None:
            return
        now_s = trio.current_time()
        wait_ms = self._rates.take(who.id, command.name, command.rate, now_s, vip=who.tier == "vip")
        if wait_ms:
            text = f"Too many requests: {command.name} is limited to {command.rate}"
            raise Refused(text, 429, code="rate_limited", retry_after_ms=wait_ms)


def _split(data: JSON, names: Sequence[str]) -> tuple[dict[str, JSON], dict[str, JSON]]:
    """The fields that every event accepts, and the event's own, which are called `names`."""
    if data is None:
        return {}, {}
    if not isinstance(data, dict):
        raise Refused("The payload must be an object", code="invalid_payload")
    if _COMMON_ONES.isdisjoint(data):
        return {}, data
    fields: dict[str, JSON] = {}
    own = data
    for name in _COMMON:
        if name in data:
            if data[name] is not None:
                fields[name] = data[name]
            if name not in names:
                if own is data:
                    own = dict(data)
                del own[name]
    return fields, own


def _given(fields: Mapping[str, JSON]) -> Mapping[str, str]:
    """The ids that an ask names, checked whether they are needed or not."""
    return {name: _outside_id(fields[name], name) for name in ("sessionId", "eventId") if name in fields}


@lru_cache(maxsize=NAMES_REMEMBERED)
def _named(name: str, field: str) -> str:
    """An id from the handshake, which every ask of a connection relies on."""
    return str(_outside_id(name, field))


def _event(fields: Mapping[str, JSON], peer: Peer | None) -> str:
    """The event that was named, in the payload or in the handshake; "" if none was."""
    named = fields.get("eventId") or (peer.query.get("eventId") if peer is not None else None)
    return str(_outside_id(named, "eventId")) if named else ""


def _key(command: Command, fields: Mapping[str, JSON], door: Via) -> str | None:
    key = fields.get("idempotencyKey")
    if key is not None:
        return str(_uuid(key, "idempotencyKey"))
    if command.key is _REQUIRED and door is Via.SOCKET:
        raise Refused("idempotencyKey is required", code="invalid_payload")
    return None
