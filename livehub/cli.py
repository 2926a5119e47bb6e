"""The command line: serve, token, check, events, export."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

import livehub
from livehub import app
from livehub.auth import mint
from livehub.check import run_checks
from livehub.config import load
from livehub.contracts.asyncapi import asyncapi
from livehub.contracts.document import contract_text
from livehub.contracts.events import NAMESPACE
from livehub.contracts.inventory import Inventory
from livehub.contracts.pagetext import page
from livehub.contracts.typescript import typescript
from livehub.errors import ConfigError, LivehubError
from livehub.exportfiles import default_directory, file_names, open_directory, write_files
from livehub.feature import iso
from livehub.features import discover
from livehub.rooms.catalog import Catalog
from livehub.settings import DEVELOPMENT_SECRET, Settings

DURATION = re.compile(r"([1-9]\d{0,4})([smhd])\Z")
DURATION_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
EXIT_TROUBLE = 1
TRIAL_TTL_S = 12 * 3_600
FORMS: dict[str, Callable[[Catalog], str]] = {
    "text": lambda catalog: contract_text(catalog, NAMESPACE),
    "asyncapi": lambda catalog: json.dumps(asyncapi(Inventory(catalog, NAMESPACE)), indent=2, ensure_ascii=False),
    "typescript": lambda catalog: typescript(Inventory(catalog, NAMESPACE)).rstrip("\n"),
    "markdown": lambda catalog: page(Inventory(catalog, NAMESPACE)).rstrip("\n"),
}
"""What `livehub events --format` prints."""

Command = TypeVar("Command", bound=Callable[..., Any])


class _Duration(click.ParamType[int]):
    """`90s`, `30m`, `12h` or `7d`, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds."""
        text = str(value)
        found = DURATION.match(text)
        if found is None:
            self.fail(f"{text!r} is not a duration such as 90s, 30m, 12h or 7d", param, ctx)
        return int(found[1]) * DURATION_S[found[2]]


def _config(command: Command) -> Command:
    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Configuration file. Default: $LIVEHUB_CONFIG, config/dev.toml in a checkout, /etc/livehub/livehub.toml.",
    )(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(livehub.__version__, prog_name="livehub")
def cli() -> None:
    """The live backend of an event, for clients that speak socket.io."""


@cli.command()
@_config
@click.option("--host", help="Address to listen on, instead of [server] host.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on, instead of [server] port.")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="Data directory, instead of [store] data."
)
def serve(config: Path | None, host: str | None, port: int | None, data: Path | None) -> None:
    """Run the server until SIGTERM or Ctrl-C."""
    options = {("server", "host"): host, ("server", "port"): port, ("store", "data"): data and str(data)}
    settings = load(config, options=options)
    app.run(settings, lambda url: _greet(settings, url))


@cli.command()
@_config
@click.option("--user", required=True, help="The user's id (claim sub).")
@click.option("--email", help="Default: USER@example.org.")
@click.option("--name", help='"First Last".')
@click.option("--org", default="org", show_default=True, help="Organisation (claim orgId).")
@click.option("--role", help="OWNER, ADMIN, MODERATOR, SPEAKER, MEMBER, or one of your config.")
@click.option("--permission", "permissions", multiple=True, help="A permission besides the role's; may be repeated.")
@click.option("--ttl", type=_Duration(), default="12h", show_default=True, help="How long it is valid.")
def token(
    config: Path | None,
    user: str,
    email: str | None,
    name: str | None,
    org: str,
    role: str | None,
    permissions: tuple[str, ...],
    ttl: int,
) -> None:
    """Print a token signed with the configured secret."""
    made = mint(
        load(config).auth, user=user, email=email, name=name, org=org, role=role, permissions=permissions, ttl_s=ttl
    )
    click.echo(made)


@cli.command()
@_config
def check(config: Path | None) -> None:
    """Look for what would go wrong: configuration, data directory, limits, port. Exit code 1 if anything would."""
    findings = run_checks(load(config))
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}: {finding.text}")
        if finding.fix:
            click.echo(f"      {finding.fix}")
    if not all(finding.ok for finding in findings):
        raise SystemExit(EXIT_TROUBLE)


@cli.command()
@_config
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMS)),
    default="text",
    show_default=True,
    help="asyncapi: an AsyncAPI 3 document. typescript: a .d.ts for socket.io-client. markdown: docs/events.md.",
)
def events(config: Path | None, form: str) -> None:
    """Print the wire contract: every event, payload, permission and rate."""
    click.echo(FORMS[form](Catalog(discover(), load(config).features)))


@cli.group()
def export() -> None:
    """Write what is in the data directory to files."""


@export.command("session")
@_config
@click.argument("session_id", metavar="ID")
@click.option("--out", type=click.Path(path_type=Path), help="Directory for the files. Default: ./export-ID.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def export_session(config: Path | None, session_id: str, out: Path | None, *, force: bool) -> None:
    """Write a session to a CSV file per table and a JSON file. The server may run meanwhile."""
    settings = load(config)
    if settings.store.kind == "memory":
        raise ConfigError('[store] kind = "memory" keeps nothing; ask the server: GET /api/sessions/ID/export')
    catalog = Catalog(discover(), settings.features, share_emails=settings.privacy.share_emails)
    with open_directory(Path(settings.store.data)) as log:
        with _progress(log.count(session_id), "Reading the log") as read:
            state = log.fold(catalog, session_id, read)
        ends_ms = log.latest_ms()
    directory = out or default_directory(session_id)
    head = {"sessionId": session_id, "exportedAt": iso(time.time_ns() // 1_000_000)}
    with _progress(len(file_names(state)), "Writing files") as wrote:
        written = write_files(state, directory, ends_ms, head, force=force, progress=wrote)
    for file in written:
        click.echo(file)


def main() -> None:
    """Entry point: known trouble is a sentence on stderr and exit code 1, never a traceback."""
    try:
        cli(prog_name="livehub")
    except (LivehubError, OSError) as error:
        click.echo(f"livehub: {error}", err=True)
        sys.exit(EXIT_TROUBLE)


@contextmanager
def _progress(length: int, label: str) -> Iterator[Callable[[int], object]]:
    """A bar on a terminal, and nothing elsewhere: logs and pipes have no use for one."""
    if not sys.stderr.isatty():
        yield bool
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


def _greet(settings: Settings, url: str) -> None:
    click.echo(f"livehub {livehub.__version__} serves on {url}")
    if settings.auth.secret != DEVELOPMENT_SECRET:
        return
    first = ""
    for user, name, role in (("grace", "Grace Hopper", "ADMIN"), ("ada", "Ada Lovelace", "MEMBER")):
        first = mint(settings.auth, user=user, name=name, org="demo", role=role, ttl_s=TRIAL_TTL_S)
        click.echo(f"\nToken of {name} ({role}, 12 h):\n{first}")
    click.echo("\nTo try it: npm install socket.io-client, save this as try.mjs, run it twice with `node try.mjs`:\n")
    click.echo(_SNIPPET.format(url=url, token=first))


_SNIPPET = """\
import {{ io }} from "socket.io-client";
const socket = io("{url}/events", {{ auth: {{ token: "{token}" }}, transports: ["websocket"] }});
socket.on("chat.message.new", (message) => console.log(message.author.firstName + ":", message.text));
socket.once("connectionAcknowledged", () => socket.emit("session.join", {{ sessionId: "demo" }}, console.log)
  .emit("chat.message.send", {{ text: "Hello!", idempotencyKey: crypto.randomUUID() }}, console.log));
"""
