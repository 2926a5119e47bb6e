"""The live page of `--web`: the report's own charts, drawn anew each second, and a button that ends the run.

The page asks for `/live.json` once a second: the numbers for scripts, and in `html` the same parts that the report is
made of. They are drawn here, at most once per `DRAWN_FOR_S` however many look on, so that there is one program that
draws charts, and not one in each language.

It listens on 127.0.0.1 unless told otherwise. Any web page in the same browser can post to that address, so `/stop`
wants a token that only this page knows, and a foreign name for this address (DNS rebinding) is refused.
"""

import logging
import secrets
import socket
from collections.abc import Callable
from html import escape
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import attrs
import orjson
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request
from quart_trio import QuartTrio

from loadtest.measure.book import Snapshot
from loadtest.measure.result import Moment, Result, RunInfo
from loadtest.report import tables
from loadtest.report.figures import clock, count, size
from loadtest.report.html import asset, document, grid, verdict_section
from loadtest.report.html import page as report_page
from loadtest.report.plots import over_time
from loadtest.report.tables import Figure
from loadtest.report.verdict import Judgement, beside, judge

DRAWN_FOR_S = 0.9
STOP_HEADER = "X-Stop-Token"
GRACE_S = 0.5

log = logging.getLogger(__name__)


class LivePage:
    """One run's page; `now` tells how it goes, `stop` ends it."""

    def __init__(
        self,
        now: Callable[[], Snapshot],
        run: RunInfo,
        *,
        stop: Callable[[], None],
        host: str = "127.0.0.1",
        port: int = 8089,
    ) -> None:
        self._now, self._run, self._stop = now, run, stop
        self._host, self._port = host, port
        self._token = secrets.token_urlsafe(16)
        self._drawn: tuple[float, bytes] | None = None
        self._result: Result | None = None
        self._stopping = False

    def stopping(self) -> None:
        """Nobody sends any more: from now on the run waits for what is under way."""
        self._stopping = True
        self._drawn = None

    def finished(self, result: Result) -> None:
        """The run is over: the page says so and leads to the report, for as long as `serve` runs on."""
        self._result = result
        self._drawn = None

    async def serve(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Started with the address to open; OSError when the address cannot be had."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family)
        port = listener.getsockname()[1]
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]  # Hypercorn's own bind would hide an OSError in nested groups
        config.graceful_timeout = GRACE_S
        config.errorlog = log
        config.accesslog = None
        config.include_server_header = False
        async with trio.open_nursery() as nursery:
            await nursery.start(_serve, self.app(), config)
            task_status.started(f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{port}/")

    def app(self) -> QuartTrio:
        """The page as an ASGI application."""
        app = QuartTrio(__name__, static_folder=None)
        app.before_request(self._refuse_strange_names)
        app.add_url_rule("/", view_func=self._page)
        app.add_url_rule("/live.json", view_func=self._live)
        app.add_url_rule("/report", view_func=self._report)
        app.add_url_rule("/stop", view_func=self._end, methods=["POST"])
        return app

    async def _refuse_strange_names(self) -> Response | None:
        """On this machine's own address only its own names count; a number is no name."""
        name = request.host.rsplit(":", 1)[0].strip("[]") if request.host else ""
        if name in {"localhost", self._host} or _address(name) or not _is_loopback(self._host):
            return None
        return Response("This address goes by another name.\n", 421, mimetype="text/plain")

    async def _page(self) -> Response:
        run, told = self._run, self._document()
        body = (
            f'<div class="bar"><header><h1>{escape(run.scenario)} <span id="state">{escape(told["state"])}</span></h1>'
            f'<p class="lead"><b>{escape(run.target)}</b> at {escape(run.host)}</p></header>'
            f'<button id="stop" data-token="{escape(self._token)}">Stop the run</button></div>'
            f'<div id="live">{told["html"]}</div>'
        )
        title = f"{run.scenario}: live"
        return _html(document(title, body, scripts=(asset("live.js"),), connect=True))

    async def _live(self) -> Response:
        at = trio.current_time()
        if self._drawn is None or at - self._drawn[0] > DRAWN_FOR_S:
            self._drawn = (at, orjson.dumps(self._document()))
        return Response(self._drawn[1], mimetype="application/json", headers={"Cache-Control": "no-store"})

    def _document(self) -> dict[str, Any]:
        snapshot = self._now()
        last = snapshot.moment
        return {
            "state": self._state(last),
            "over": self._result is not None,
            "stopping": self._stopping,
            "run": attrs.asdict(self._run),
            "now": attrs.asdict(last),
            "delivery": attrs.asdict(snapshot.delivery) | {"percent": snapshot.delivery.percent},
            "asks": {event: attrs.asdict(ask) for event, ask in snapshot.asks.items()},
            "latencies": {
                kind: {name: attrs.asdict(latency, filter=_not_hdr) for name, latency in named.items()}
                for kind, named in snapshot.latencies.items()
            },
            "html": self._parts(snapshot, last),
        }

    def _state(self, last: Moment) -> str:
        if self._result is not None:
            return "over"
        told = clock(last.t)
        if self._run.duration_s:
            told += f" of {clock(self._run.duration_s)}"
        return f"stopping, {told}" if self._stopping else told

    def _parts(self, snapshot: Snapshot, last: Moment) -> str:
        shown = [
            Figure("Users", count(last.users), f"{count(last.connected)} connected"),
            *tables.delivery_figures(snapshot.delivery, snapshot.latencies),
            Figure("Pushes now", f"{count(last.delivered)}/s", f"{size(snapshot.counters.get('bytes.in', 0))} in all"),
        ]
        charts = over_time([attrs.asdict(moment) for moment in snapshot.timeline], loss=beside(snapshot.delivery))
        return (
            f"{self._verdict(snapshot)}{tables.figures(shown)}<h2>Over time</h2>{grid(charts)}"
            f"<h2>Latencies</h2>{tables.latencies_table(snapshot.latencies, snapshot.delivery)}"
            f"<h2>Asks</h2>{tables.asks_table(snapshot.asks)}"
        )

    def _verdict(self, snapshot: Snapshot) -> str:
        """The run's once it is over; before that only what would make it invalid."""
        if self._result is not None:
            return verdict_section(judge(self._result), more='<p><a href="/report">Open the report</a></p>')
        if snapshot.invalid_because:
            return verdict_section(Judgement("bad", "Invalid so far", tuple(snapshot.invalid_because)))
        return ""

    async def _report(self) -> Response:
        if self._result is None:
            return Response("The run is not over yet.\n", 404, mimetype="text/plain")
        return _html(report_page(self._result))

    async def _end(self) -> Response:
        if not secrets.compare_digest(request.headers.get(STOP_HEADER, "").encode(), self._token.encode()):
            return Response("Only the page itself may stop the run.\n", 403, mimetype="text/plain")
        if self._result is None and not self._stopping:
            self.stopping()
            self._stop()
        return Response("", 204)


async def _serve(app: QuartTrio, config: Config, *, task_status: trio.TaskStatus[list[str]]) -> None:
    await serve(app, config, task_status=task_status)


def _html(text: str) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}
    return Response(text, mimetype="text/html", headers=headers)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address else host == "localhost"


def _not_hdr(field: "attrs.Attribute[Any]", _: object) -> bool:
    return field.name != "hdr"
