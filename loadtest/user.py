"""A user: one person with one connection, written as a class with tasks, as in Locust, and with ears.

    class Attendee(User):
        wait_time = between(1, 5)

        async def on_start(self) -> None:
            await self.connect()
            await self.join("main")

        @task(10)
        async def chat(self) -> None:
            await self.say("hello")

        @on("chat.message.new")
        def heard(self, message: dict[str, Any]) -> None: ...

**Time.** Every act has an intended time, and what is measured counts from it, not from when the generator got round to
it. The first thing a task does counts from when the task was due, everything after that from when the task asked for
it; `at` sets the intended time of what comes next. It lives in a context variable: a task's children inherit it.

**Connections break.** A user behaves as `socket.io-client` does: whoever is cut off comes back by themselves with a
jittered backoff and what recovery needs, and does nothing meanwhile; acts that fall due then are counted as `away`.
Refusals and failures are counted and answered with `Answer(ok=False)`; they never raise.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

import trio

from loadtest.answer import Answer
from loadtest.backoff import delays_s
from loadtest.client import Ack, AskTimeout, Closed, ConnectFailed, Connection, ConnectRefused, Opened, decode
from loadtest.declare import Wait, Weighting, between, constant, constant_pacing, handlers_of, on, task, tasks_of
from loadtest.stage import GUEST_NUMBERS_FROM
from loadtest.standing import Standing

if TYPE_CHECKING:
    from loadtest.measure.ledger import Member
    from loadtest.measure.recorder import Recorder
    from loadtest.options import Options
    from loadtest.stage import Stage
    from loadtest.targets import Target

__all__ = ["Answer", "User", "between", "constant", "constant_pacing", "on", "task"]

log = logging.getLogger(__name__)

ASK_TIMEOUT_S = 30.0
SERVER_SAID_GOODBYE = "server disconnect"  # stock clients stay away then

_due: ContextVar[int] = ContextVar("due", default=0)  # ns; 0: now


class User:
    """Derive from it; whatever is said at the top of a class is what makes its users differ."""

    abstract: ClassVar[bool] = True  # only there to be derived from
    weight: ClassVar[int] = 1  # share among the scenario's user classes
    fixed_count: ClassVar[int] = 0  # exactly so many, the first ones to come; 0: by weight
    wait_time: ClassVar[Wait] = constant(1.0)
    role: ClassVar[str] = "attendee"  # whom the tokens make of it; see ROLES in targets
    reconnect: ClassVar[bool] = True  # comes back by itself, as socket.io-client does
    must_hear: ClassVar[bool] = True  # is missed when a message does not arrive; False for those who do not read
    receive_buffer_bytes: ClassVar[int | None] = None  # of the socket; small, to be a slow reader sooner

    tasks: ClassVar[Weighting]
    handlers: ClassVar[Mapping[str, tuple[str, ...]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.abstract = bool(vars(cls).get("abstract", False))
        cls.tasks = tasks_of(cls)
        cls.handlers = handlers_of(cls)

    def __init__(self, stage: Stage, number: int, nursery: trio.Nursery) -> None:
        self.stage = stage
        self.number = number
        self.random = Random(f"{stage.seed}:{number}")  # noqa: S311 - dice, no secret
        self.target: Target = stage.target
        self._traced_event, self._refusal_event = stage.target.traced_event, stage.target.refusal_event
        self.options: Options = stage.options
        self.recorder: Recorder = stage.recorder
        self.connection: Connection | None = None
        self.session: str | None = None
        self.member: Member | None = None
        self.back_ns = 0  # when a broken connection was there again
        self.standing = Standing()
        self._namespace = "/events"
        self._transport: str | None = None
        self._nursery = nursery
        self._present = trio.Event()  # connected; replaced when the connection breaks
        self._refusal: bytes | None = None  # what a server said before it showed the user out again
        self._replay: list[tuple[str, bytes]] | None = None  # heard before the CONNECT reply, while it is open

    # What a scenario may override

    async def on_start(self) -> None:
        """Before the first task: connect and join. A user class that does nothing else needs no tasks."""
        await self.connect()

    async def on_stop(self) -> None:
        """After the last task, while the connection is still there."""

    # What a scenario calls

    @property
    def intended_ns(self) -> int:
        """When what comes next should have happened; now, if nothing else was said."""
        return _due.get() or self.stage.now_ns()

    def at(self, ns: int) -> None:
        """Say when what comes next should happen."""
        _due.set(ns)

    @property
    def connected(self) -> bool:
        """Whether the connection is there."""
        return self.connection is not None and self._present.is_set()

    async def connect(self, namespace: str = "/events", transport: str | None = None) -> Opened:
        """Open the connection, however often that takes; `connect` is measured to the CONNECT reply."""
        due_ns = self._take_due()
        self._namespace = namespace
        self._transport = transport or self.stage.transport(self.number)
        with self.standing.waiting():
            opened = await self._open({})
        self.recorder.latency("connect", namespace, self._since_us(due_ns))
        return opened

    async def join(self, session: str) -> Answer:
        """Take a seat; `join` is measured to the ack. From now on the user is expected to hear what is said there."""
        due_ns = self._take_due()
        event, payload = self.target.join(session)
        answer = await self._ask(event, payload, due_ns, "join")
        if answer.ok:
            self.session = session
            if self.must_hear:
                self._take_seat(session)
        return answer

    async def ask(self, event: str, payload: object = None) -> Answer:
        """Emit and wait for the ack; `ack` is measured when the server took it."""
        return await self._ask(event, payload, self._take_due(), "ack")

    async def say(self, text: str, session: str | None = None) -> Answer:
        """A chat message that carries its own name and time; once acked it must reach everybody who sits there."""
        due_ns = self._take_due()
        room = session or self.session or ""
        message = self.stage.next_id(self.number)
        event, payload = self.target.chat(room, self.stage.trace(message, due_ns) + text, self.stage.key(message))
        answer = await self._ask(event, payload, due_ns, "ack")
        if answer.ok:
            self.recorder.ledger.acked(room, message, due_ns)
        return answer

    def emit(self, event: str, payload: object = None) -> bool:
        """Send without an ack; False when there is no connection to send it on."""
        self._take_due()
        if self.connection is None or not self.connected:
            self.recorder.count(f"failed.{event}")
            return False
        self.recorder.count(f"sent.{event}")
        self.connection.emit(event, *(() if payload is None else (payload,)))
        return True

    def key(self) -> str:
        """A fresh idempotency key, unlike any other of this run and of runs before it."""
        return self.stage.key(self.stage.next_id(self.number))

    async def drop(self, silent: bool = False) -> None:
        """Be cut off, without a word; `silent` leaves the server to find out (a phone out of coverage).

        `resume` is measured, from its own intended time: whoever sleeps in between says with `at` when the coverage
        was to be back, so that a generator that wakes late does not shorten the recovery it reports.

            await self.drop(silent=True)
            back_ns = self.stage.now_ns() + 3_000_000_000
            await trio.sleep(3)
            self.at(back_ns)
            await self.resume()
        """
        if self.connection is None or not self.connected:
            return
        self._went_away()
        self.standing.dropped = True
        self.connection.cut(silent=silent)

    async def resume(self) -> bool:
        """Come back after `drop`, with pid and offset: `recovery` is measured. True if the server recovered it."""
        with self.standing.waiting():
            return await self._come_back(self._take_due())

    async def close(self) -> None:
        """Leave politely."""
        connection, self.connection = self.connection, None
        if self.member is not None:
            self.member.left(self.stage.now_ns())
            self.member = None
        if connection is not None:
            self.stage.account(connection)
            if self._present.is_set():
                self.stage.connected -= 1
                self._present = trio.Event()
            await connection.close()

    async def present(self) -> None:
        """Wait until the connection is there."""
        while not self._present.is_set():
            await self._present.wait()

    def failed(self, what: str, error: BaseException) -> None:
        """Count a failure of the scenario's own code; its text is logged, one line a second."""
        self.recorder.count(f"failed.{what}")
        log.warning("user %d: %s failed: %r", self.number, what, error)

    # How it works

    def _take_due(self) -> int:
        due_ns = _due.get()
        if due_ns:
            _due.set(0)
            return due_ns
        return self.stage.now_ns()

    def _since_us(self, due_ns: int) -> int:
        return max(0, self.stage.now_ns() - due_ns) // 1_000

    async def _ask(self, event: str, payload: object, due_ns: int, kind: str) -> Answer:
        if self.stage.stopping:
            await self.standing.last_call()
        recorder, connection = self.recorder, self.connection
        recorder.count(f"sent.{event}")
        if connection is None or not self._present.is_set():
            recorder.count(f"failed.{event}")
            return Answer(ok=False, code="NOT_CONNECTED")
        try:
            with self.stage.asking(), self.standing.waiting():
                args = await connection.ask(event, *(() if payload is None else (payload,)), timeout_s=ASK_TIMEOUT_S)
        except (Closed, AskTimeout) as error:
            recorder.count(f"failed.{event}")
            self.stage.unanswered(asks=isinstance(error, AskTimeout))
            return Answer(ok=False, code="CLOSED" if isinstance(error, Closed) else "TIMEOUT")
        ok, code, data = self.target.outcome(args)
        if not ok:
            recorder.count(f"refused.{event}.{code}")
            return Answer(ok=False, data=data, code=code)
        recorder.count(f"acked.{event}")
        now_ns = args.at_ns if isinstance(args, Ack) else self.stage.now_ns()
        recorder.latency(kind, event if kind == "ack" else self._namespace, max(0, now_ns - due_ns) // 1_000)
        return Answer(ok=True, data=data)

    async def _open(self, recovery: Mapping[str, object]) -> Opened:
        """Try until it works, waiting longer and longer, as stock clients do."""
        delays = delays_s(self.random)
        while True:
            connection = self.stage.dial(self, self._namespace, self._transport or "websocket")
            self.standing.tries(self.stage.now_ns())
            self._replay = []
            try:
                opened = await connection.open({**self.target.auth(self.number, self.role), **recovery})
            except ConnectRefused as error:
                self._refused(error.message)
            except ConnectFailed as error:
                said = [packet for event, packet in self._replay if event == self._refusal_event]
                self._refused(self._words(said[-1])) if said else self._failed(error.reason)
            else:
                self._arrived(connection)
                return opened
            finally:
                self._replay = None
                if self.connection is not connection:
                    self.stage.account(connection)
            await trio.sleep(next(delays))  # drawn only now: the dice of who gets in at once are for what they do

    def _refused(self, why: str) -> None:
        self.standing.turned_away = True
        self.recorder.count(f"refused.connect.{why}")
        log.warning("connect refused: %s", why)

    def _failed(self, why: str) -> None:
        self.standing.turned_away = True
        self.recorder.count("failed.connect")
        self.recorder.count(f"unconnected.{why}")
        log.warning("connect failed: %s", why)

    def _shown_out(self, refusal: bytes) -> None:
        if self.number < GUEST_NUMBERS_FROM:
            self.recorder.count("users.connected", -1)
        self.standing.entered = False
        self._refused(self._words(refusal))

    def _words(self, refusal: bytes) -> str:
        return self.target.refusal(decode(refusal)[1:])

    def _arrived(self, connection: Connection) -> None:
        self.recorder.count("connects")
        self.connection = connection
        self.stage.connected += 1
        if not self.standing.entered and self.number < GUEST_NUMBERS_FROM:
            self.recorder.count("users.connected")
        self.standing.entered = True
        self._present.set()
        replay, self._replay = self._replay or [], None
        for event, packet in replay:
            self.heard_frame(event, packet)

    async def _come_back(self, due_ns: int) -> bool:
        before = self.connection
        recovery = before.recovery if before is not None else None
        opened = await self._open(recovery.auth() if recovery is not None else {})
        now_ns = self.stage.now_ns()
        self.back_ns = now_ns
        self.recorder.latency("recovery", self._namespace, max(0, now_ns - due_ns) // 1_000)
        self.recorder.count("recovered" if opened.recovered else "unrecovered")
        if self.member is not None:
            self.member.resumed(opened.recovered, now_ns)
        if before is not None:
            with trio.CancelScope(shield=True):
                self.stage.account(before)
                await before.close()  # at once: this is the socket that a silent cut has left open
        if not opened.recovered and self.session is not None:
            event, payload = self.target.join(self.session)
            await self._ask(event, payload, now_ns, "join")
        return opened.recovered

    def _take_seat(self, session: str) -> None:
        if self.member is not None:
            self.member.left(self.stage.now_ns())
        self.member = self.recorder.ledger.joined(session, self.number, self.stage.now_ns())

    def _went_away(self) -> None:
        self._present = trio.Event()
        self.stage.connected -= 1
        self.recorder.count("cuts")
        if self.member is not None:
            self.member.cut(self.stage.now_ns())

    def heard_frame(self, event: str, packet: bytes) -> None:
        """Called by the connection for every push.

        What comes before the CONNECT reply is a replay. It counts once the reply is there: if the connection breaks
        before, the offset to come back with is still the old one, and the server has to send it all again.
        """
        if self._replay is not None:
            self._replay.append((event, packet))
            return
        stage, member = self.stage, self.member
        if event == self._traced_event and member is not None and (found := stage.trace_of(packet)):
            member.heard(found[0], found[1], stage.now_ns())  # the ledger counts it as delivered
        else:
            stage.heard(event)
            if event == self._refusal_event:
                self._refusal = packet
        if self.handlers and (names := self.handlers.get(event)):
            self._tell(names, decode(packet))

    def lost(self, reason: str) -> None:
        """Called by the connection when it ends and nobody here had asked for it."""
        if not self._present.is_set():
            return
        self._went_away()
        if reason == SERVER_SAID_GOODBYE and self._refusal is not None and self.session is None:
            self._shown_out(self._refusal)
        log.info("user %d was cut off: %s", self.number, reason)
        if self.reconnect and reason != SERVER_SAID_GOODBYE:
            self.stage.returning += 1
            self._nursery.start_soon(self._return, self.stage.now_ns())

    async def _return(self, cut_ns: int) -> None:
        try:
            await trio.sleep(next(delays_s(self.random)))
            with self.standing.waiting():
                await self._come_back(cut_ns)
        finally:
            self.stage.returning -= 1

    def _tell(self, names: tuple[str, ...], args: list[Any]) -> None:
        payload = args[1] if len(args) > 1 else None
        for name in names:
            try:
                awaitable = getattr(self, name)(payload)
            except Exception as error:
                self.failed(name, error)
            else:
                if inspect.isawaitable(awaitable):
                    self._nursery.start_soon(self._finish, name, awaitable)

    async def _finish(self, name: str, awaitable: Any) -> None:
        _due.set(0)
        try:
            await awaitable
        except Exception as error:
            self.failed(name, error)
