"""Everybody around one event, each listening with a client that keeps all it is told, and the secrets among them.

A secret is planted where it is said: `plant` makes a text that occurs nowhere else and notes who may be told it. Ids,
names, e-mail addresses and organisations of people are planted with them. All asks get an idempotency key, which is a
secret too, and are kept so that they can be asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from secrets import token_hex
from typing import Any, NamedTuple

import httpx
import trio

from livehub.features import discover
from livehub.rooms.catalog import Catalog
from tests.endtoend.leaks import Secret, Told
from tests.endtoend.listeners import Listener
from tests.endtoend.stage import key
from tests.harness import Server

CATALOG = Catalog(discover())

CLAIMS: dict[str, dict[str, Any]] = {
    "owner": {"role": "OWNER"},
    "moderator": {"role": "MODERATOR"},
    "deputy": {"role": "MODERATOR"},  # is cut off before anything is said, and comes back after it
    "speaker": {"role": "SPEAKER"},
    "ada": {"role": "MEMBER"},
    "bob": {"role": "MEMBER"},
    "cut": {"role": "MEMBER"},  # like the deputy
    "late": {"role": "MEMBER"},  # joins after all was said
    "voter": {"role": "MEMBER"},  # does nothing but vote
    "hidden": {"role": "MEMBER"},  # does nothing but vote in an anonymous poll
    "anonymous": {"role": "MEMBER"},  # does nothing but ask anonymously
    "asker": {"role": "MEMBER"},  # whose questions never become public
    "uploader": {"role": "MEMBER"},  # whose slides are shown
    "teammate": {"role": "MEMBER"},  # does nothing but join a team
    "guest": {"role": "MEMBER"},  # is in the event and in no session
    "analyst": {"permissions": ["dashboard:read:live"]},  # watches the dashboard
    "outsider": {"role": "MEMBER"},  # is in another event
    "nowhere": {"role": "MEMBER"},  # is connected, and in no room
    "blocked": {"role": "MEMBER"},  # as well; bob takes no messages from them
    "absent": {"role": "MEMBER"},  # is not connected; somebody writes to them
    "gone": {"role": "MEMBER"},  # is not let in
    "backend": {"permissions": ["backend:publish"]},  # has no client
}
VISITOR = "visitor"
"""A guest, who got in with the code of the session and has a token of the server's making."""
STRANGER = "stranger"
"""Somebody without a token."""
EVERYBODY = (*CLAIMS, VISITOR, STRANGER)
MODERATORS = frozenset({"owner", "moderator", "deputy"})
SEATED = MODERATORS | {
    "speaker", "ada", "bob", "cut", "late", "voter", "hidden", "anonymous", "asker", "uploader", "teammate", "visitor",
}  # fmt: skip
IN_EVENT = (SEATED | {"guest"}) - {VISITOR}
WATCHERS = frozenset({"owner", "analyst"})
PUBLISHERS = frozenset({"owner", "backend"})

ACQUAINTANCES: dict[str, frozenset[str]] = {
    "owner": SEATED, "speaker": SEATED, "bob": SEATED, "ada": SEATED | {"absent", "backend"}, "asker": MODERATORS,
    "absent": frozenset({"ada"}), "blocked": frozenset({"bob"}), "outsider": frozenset({"bob", "owner"}),
    "gone": frozenset({"owner"}),
}  # fmt: skip
"""Who may know of whom, beside themselves: of those who speak up, and who named them first. Of the others nobody does.

Whoever manages sessions manages those of all organisations, and sees who made them.
"""
PRESENT = {"participants": MODERATORS}
"""Presenters see who is there, by their names."""
MANAGERS = frozenset({"owner"})
EXPORTED = {"attendance": MANAGERS}
"""Tables of the export in which managers see everybody who was there, by id and name."""
VOTES_EXPORTED = {"voter": {"votes": MANAGERS, "points": MANAGERS}, "asker": {"points": MANAGERS}}
"""And those of them who voted, asked and earned under their names."""
ORG_KNOWERS = {"outsider": frozenset({"outsider", "owner"})}
"""An event that nobody prepared is the organisation's of who came first: those in it see that."""
ON_LEADERBOARD = ("voter", "asker")
"""Whoever earns points is on the leaderboard under their name (contract 1, §9): that, and nothing else, is public."""
ASKERS = ("ada", "asker")


class Act(NamedTuple):
    """Something that was asked, and its answer; `payload` has its key."""

    who: str
    command: str
    payload: dict[str, Any]
    answer: dict[str, Any]


class Call(NamedTuple):
    """A request that changed something."""

    who: str
    command: str
    method: str
    target: str
    body: dict[str, Any]
    key: str
    answer: dict[str, Any]


class People:
    """Who they are, what they said and what they were told."""

    def __init__(self, server: Server, nursery: trio.Nursery, http: httpx.AsyncClient) -> None:
        self.server = server
        self.secrets: list[Secret] = []
        self.acts: list[Act] = []
        self.calls: list[Call] = []
        self.clients: dict[str, Listener] = {}
        self.answered: set[tuple[str, str, bool]] = (
            set()
        )  # method and address of every request, and whether it was done
        self.votes: dict[str, set[str]] = {}  # person → options
        self.upvotes: dict[str, set[str]] = {}  # person → questions
        self.teams: dict[str, set[str]] = {}  # person → teams they are or were in
        self.path_ids: dict[str, list[str]] = {}  # part of a path → all that there are
        self.session, self.event, self.other, self.workshop, self.org = (
            f"{kind}-{token_hex(4)}" for kind in ("session", "event", "other", "workshop", "org")
        )
        self._nursery = nursery
        self._http = http
        self._answers: list[Told] = []
        self._ids: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        domain = self.plant("an e-mail address", fields={"authorEmail": MODERATORS}) + ".example"
        for name, claims in CLAIMS.items():
            self._introduce(name, claims, domain)

    def plant(
        self, what: str, knowers: Iterable[str] = (), fields: Mapping[str, frozenset[str]] | None = None, text: str = ""
    ) -> str:
        """A text that only these people may be told; a new one unless it is known already."""
        text = text or f"x{token_hex(8)}"
        self.secrets.append(Secret(what, text, frozenset(knowers), fields or {}))
        return text

    def id(self, name: str) -> str:
        """The user id of a person."""
        return self._ids[name]

    async def enters(self, name: str) -> Listener:
        """Have somebody connect."""
        there = (self.other, f"of-{self.other}") if name == "outsider" else (self.session, self.event)
        query = {} if name == "nowhere" else {"sessionId": there[0], "eventId": there[1]}
        client = self.clients[name] = Listener(self.server, name, self._tokens[name], **query)
        await client.come(self._nursery)
        return client

    async def returns(self, name: str) -> None:
        """Have somebody come back who was cut off; they hear what they missed."""
        await self.clients[name].come(self._nursery)
        assert self.clients[name].recovered, f"{name} could not come back"

    async def joins(self, name: str, *rooms: str) -> None:
        """Have somebody join rooms of these kinds."""
        for kind in rooms:
            await self.says(name, f"{kind}.join")
            await self.clients[name].hears(f"{kind}.snapshot")

    async def says(self, who: str, event: str, /, **payload: Any) -> dict[str, Any]:
        """Have something asked that is done: the ack."""
        asked = {**payload, "idempotencyKey": self.plant(f"the key of {who}'s {event}", text=key())}
        answer = await self.clients[who].ask(event, asked)
        assert answer["success"] is True, f"{who} {event} {payload}: {answer}"
        self.acts.append(Act(who, event, asked, answer))
        return answer

    async def is_refused(self, who: str, event: str, /, **payload: Any) -> None:
        """Have something asked that is refused."""
        answer = await self.clients[who].ask(event, {"idempotencyKey": key(), **payload})
        assert answer["success"] is False, f"{who} {event} {payload}: {answer}"

    async def sends(self, who: str, command: str, body: dict[str, Any] | None = None, /, **path: str) -> dict[str, Any]:
        """Have a request made that changes something: the body of the answer."""
        route = CATALOG.commands[command].rest
        assert route is not None, command
        used = self.plant(f"the key of {who}'s {command}", text=key())
        target = f"/api{route.path.format(**path)}"
        answer = await self.requests(who, route.method, target, body or {}, used)
        assert answer.status_code == route.status, f"{who} {command}: {answer.text}"
        self.calls.append(Call(who, command, route.method, target, body or {}, used, answer.json()))
        return dict(answer.json())

    async def gets_in(self, slug: str) -> None:
        """Have the visitor bring the code of a session."""
        name = self.plant("the name of the visitor", {VISITOR}, PRESENT | EXPORTED)
        answer = await self.requests(VISITOR, "POST", f"/api/sessions/{slug}/join", {"displayName": name})
        assert answer.is_success, answer.text
        id_, token = answer.json()["participantId"], answer.json()["token"]
        self._ids[VISITOR] = self.plant("the id of the visitor", {VISITOR}, PRESENT | EXPORTED, id_)
        self._tokens[VISITOR] = self.plant("the token of the visitor", {VISITOR}, text=token)

    async def requests(
        self, who: str, method: str, target: str, body: dict[str, Any] | None = None, used: str = ""
    ) -> httpx.Response:
        """One request, by somebody who may have no token."""
        headers = {"Authorization": f"Bearer {self._tokens[who]}"} if who in self._tokens else {}
        headers |= {"Idempotency-Key": used} if used else {}
        answer = await self._http.request(method, self.server.url + target, headers=headers, json=body)
        told = f"{method} {target} {answer.status_code}"
        self.answered.add((method, target, answer.is_success))
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self._answers += [Told(who, told, answer.text), Told(who, f"the head of {told}", head)]
        return answer

    def told(self) -> list[Told]:
        """All that anybody was told so far."""
        frames = [Told(client.name, "a frame", text) for client in self.clients.values() for text in client.frames]
        return frames + self._answers

    def all_secrets(self) -> list[Secret]:
        """What was planted, and what would let others take somebody's place."""
        private = [
            Secret(f"the connection of {client.name}", text, frozenset({client.name}))
            for client in self.clients.values()
            for text in client.private
            if text
        ]
        return self.secrets + private

    def _introduce(self, name: str, claims: dict[str, Any], domain: str) -> None:
        knowers = ACQUAINTANCES.get(name, frozenset()) | {name}
        board = {"topEntries": SEATED} if name in ON_LEADERBOARD else {}
        board |= EXPORTED | VOTES_EXPORTED.get(name, {})
        self._ids[name] = f"{name}-{self.plant(f'the id of {name}', knowers, board)}"
        tag = self.plant(f"the name of {name}", knowers, board | PRESENT)
        person = f"{name.capitalize()}{tag} Walker{tag}"
        seen = {"authorEmail": MODERATORS} if name in ASKERS else {}
        mail = f"{self.plant(f'the e-mail address of {name}', fields=seen)}@{domain}"
        org = self.plant(f"the organisation of {name}", ORG_KNOWERS.get(name, ()))
        token = self.server.token(self.id(name), name=person, email=mail, orgId=org, **claims)
        self._tokens[name] = self.plant(f"the token of {name}", text=token)
