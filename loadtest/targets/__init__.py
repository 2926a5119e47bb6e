"""Targets: what the harness must know of a server under load, and nothing else.

Every target speaks Socket.IO with the same event names; what differs is how somebody proves who they are, how an ack
says yes or no, and what the server can do at all. A new one is a file, here or anywhere, with a class called `Adapter`.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import jwt

from loadtest.ownfile import OwnFileTrouble, is_path, module_of

DEVELOPMENT_SECRET = "livehub-development-secret-that-everybody-knows"  # noqa: S105 - public, and refused elsewhere
OWN = "loadtest_target"  # the module name of a file given by its path
TOKEN_LASTS_S = 24 * 3600
ORG = "loadtest"
ATTENDEE = "attendee"
ROLES: Mapping[str, str] = {
    ATTENDEE: "MEMBER",
    "speaker": "SPEAKER",  # opens polls
    "moderator": "MODERATOR",  # closes them, looks after questions
    "organizer": "ADMIN",  # both, and watches the dashboard
}
"""What `User.role` may be, and what tokens call it."""

STATUS_CODES: Mapping[int, str] = {
    400: "invalid",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    413: "too_large",
    429: "rate_limited",
    503: "unavailable",
}
"""Acks carry a text for people and HTTP's number; what the harness counts is the number's name."""


class UnknownTarget(ValueError):
    """There is no such target, or it cannot be used; the text says why, and names those that are."""


class Outcome(NamedTuple):
    """What an ack said: done or refused, and with what."""

    ok: bool
    code: str  # why it was refused; "" if it was not
    data: Mapping[str, object]


class Target(ABC):
    """One kind of server. `supports` names the abilities that scenarios ask for in `NEEDS`."""

    name: ClassVar[str]
    supports: ClassVar[frozenset[str]]
    namespace: ClassVar[str] = "/events"
    traced_event: ClassVar[str] = "chat.message.new"
    refusal_event: ClassVar[str] = ""  # pushed to whom the server lets in only to show them out; "": there is none

    def __init__(self, secret: str = DEVELOPMENT_SECRET) -> None:
        self._secret = secret
        self._tokens: dict[tuple[int, str], str] = {}

    @abstractmethod
    def join(self, session: str) -> tuple[str, dict[str, object]]:
        """The event that takes a seat in a session."""

    @abstractmethod
    def chat(self, session: str, text: str, key: str) -> tuple[str, dict[str, object]]:
        """The event that says something in a session; everybody there must then hear `traced_event`."""

    @abstractmethod
    def outcome(self, args: Sequence[object]) -> Outcome:
        """What an ack with these arguments says."""

    def refusal(self, args: Sequence[object]) -> str:
        """What `refusal_event` with these arguments says, in words."""
        return str(args[0]) if args else self.refusal_event

    @abstractmethod
    def chat_frame_bytes(self, session: str, text: str) -> int:
        """How many bytes of Socket.IO packet everybody hears when this is said."""

    def user_id(self, number: int) -> str:
        """A user's id; all are of one length, so that all frames are."""
        return f"user-{number:06d}"

    def token(self, number: int, role: str = ATTENDEE) -> str:
        """A signed token: some 20 µs. A user keeps theirs, as apps do, and comes back with the same."""
        if (token := self._tokens.get((number, role))) is not None:
            return token
        now_s, user_id = int(time.time()), self.user_id(number)
        claims: dict[str, object] = {"sub": user_id, "email": f"{user_id}@example.org", "name": f"User {number:06d}"}
        claims |= {"orgId": ORG, "role": ROLES[role], "iat": now_s, "exp": now_s + TOKEN_LASTS_S}
        token = self._tokens[number, role] = jwt.encode(claims, self._secret, "HS256")
        return token

    def auth(self, number: int, role: str = ATTENDEE) -> dict[str, object]:
        """What a user brings with CONNECT."""
        return {"token": self.token(number, role)}

    def query(self, session: str | None) -> dict[str, str]:
        """What a user brings in the URL besides what Socket.IO wants."""
        return {}

    def joined_ok(self, args: Sequence[object]) -> bool:
        """Whether the ack of a join says that the seat is taken."""
        return self.outcome(args).ok

    def metrics_url(self, host: str) -> str | None:
        """Where the server tells its own figures (Prometheus text); None if it does not."""
        return f"{host.rstrip('/')}/metrics"

    def fill(self, text: str, session: str, frame_bytes: int) -> str:
        """The text with dots after it, so that everybody hears `frame_bytes` (more, if the text is long)."""
        return text + "." * (frame_bytes - self.chat_frame_bytes(session, text))

    def missing(self, needs: frozenset[str]) -> list[str]:
        """What a scenario needs and this server cannot do."""
        return sorted(needs - self.supports)


def names() -> list[str]:
    """All targets."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def target(name: str, secret: str = DEVELOPMENT_SECRET) -> Target:
    """The target of this name, or one's own by the path of its file. Raises `UnknownTarget`."""
    if is_path(name):
        return _own(name)(secret)
    if name not in names():
        raise UnknownTarget(f"no target {name!r}; there are: {', '.join(names())}, or give the path of a .py file")
    adapter: type[Target] = importlib.import_module(f"{__name__}.{name}").Adapter
    return adapter(secret)


def _own(path: str) -> type[Target]:
    try:
        adapter = getattr(module_of(Path(path), OWN), "Adapter", None)
    except OwnFileTrouble as trouble:
        raise UnknownTarget(str(trouble)) from trouble
    if not isinstance(adapter, type) or not issubclass(adapter, Target):
        raise UnknownTarget(f"{path}: no class in it is called Adapter and derives from Target")
    if missing := sorted(adapter.__abstractmethods__):
        raise UnknownTarget(f"{path}: Adapter has no {', '.join(missing)}")
    return adapter
