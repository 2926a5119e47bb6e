"""The command line, run as a person runs it: the real entry point, its output and its exit codes."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from base64 import urlsafe_b64decode
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from livehub.cli import cli
from livehub.features import discover
from livehub.ports import Entry, Line, Tenure
from livehub.stores.sqlite import open_sqlite
from tests.kit import ANNA, START_MS, Bench

SECRET = "a secret of at least thirty-two bytes"
EVENTS_PAGE = Path(__file__).parents[1] / "docs" / "events.md"
MORE = ["--org", "acme", "--role", "MODERATOR", "--permission", "poll:create", "--permission", "x:y", "--ttl", "90s"]


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "livehub.toml"
    path.write_text(f'[auth]\nsecret = "{SECRET}"\n[store]\ndata = "{tmp_path}/data"\n[server]\nport = 0\n')
    return str(path)


def livehub(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "livehub", *args], capture_output=True, text=True, timeout=60, check=False
    )


def claims(token: str) -> dict[str, object]:
    body = token.split(".")[1]
    told: dict[str, object] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return told


def test_a_token_says_what_was_asked_for(config: str) -> None:
    run = CliRunner().invoke(
        cli,
        [
            "token",
            "--config",
            config,
            "--user",
            "ada",
            "--email",
            "ada@example.org",
            "--name",
            "Ada King Lovelace",
            *MORE,
        ],
    )
    assert run.exit_code == 0, run.output
    told = claims(run.output.strip())
    assert told["sub"] == "ada"
    assert told["email"] == "ada@example.org"
    assert told["orgId"] == "acme"
    assert told["role"] == "MODERATOR"
    assert told["permissions"] == ["poll:create", "x:y"]
    assert int(str(told["exp"])) - int(str(told["iat"])) == 90


@pytest.mark.parametrize("ttl", ["", "12", "h", "0h", "-1h", "1.5h", "12 h", "999999d"])
def test_a_wrong_duration_is_explained(config: str, ttl: str) -> None:
    run = CliRunner().invoke(cli, ["token", "--config", config, "--user", "ada", "--ttl", ttl])
    assert run.exit_code == 2
    assert "is not a duration such as 90s, 30m, 12h or 7d" in run.output


def test_the_contract_is_printed_with_payload_permission_and_rate(config: str) -> None:
    run = CliRunner().invoke(cli, ["events", "--config", config])
    assert run.exit_code == 0, run.output
    for expected in (
        "chat.message.send",
        "text: 1 to 1000 characters",
        "replyingToMessageId: UUID v4 (optional)",
        "idempotencyKey: UUID v4",
        "needs chat:delete:own or chat:delete:any",
        "at most 5 in 10 s per person",
        "chat.message.new",
        "session.join",
        "session.snapshot",
        "connectionAcknowledged",
    ):
        assert expected in run.output


def test_the_contract_is_printed_for_machines_too(config: str) -> None:
    def printed(form: str) -> str:
        run = CliRunner().invoke(cli, ["events", "--config", config, "--format", form])
        assert run.exit_code == 0, run.output
        return run.output

    assert printed("text") == CliRunner().invoke(cli, ["events", "--config", config]).output
    assert json.loads(printed("asyncapi"))["asyncapi"] == "3.0.0"
    assert "\nexport interface ServerToClientEvents {\n" in printed("typescript")
    assert printed("typescript").endswith("}\n")
    assert printed("markdown") == EVENTS_PAGE.read_text()
    wrong = CliRunner().invoke(cli, ["events", "--config", config, "--format", "yaml"])
    assert wrong.exit_code == 2
    assert "'text', 'asyncapi', 'typescript', 'markdown'" in wrong.output


def test_check_says_what_is_fine_and_exits_with_0(config: str) -> None:
    run = livehub("check", "--config", config)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "ok" in run.stdout


def test_check_says_what_is_wrong_and_how_to_fix_it(tmp_path: Path, config: str) -> None:
    (tmp_path / "data").write_text("a file where the directory should be")
    run = livehub("check", "--config", config)
    assert run.returncode == 1
    assert "FAIL" in run.stdout


def test_a_wrong_config_is_a_sentence_and_exit_code_1(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f'[auth]\nsecret = "{SECRET}"\n[server]\nprot = 3002\n')
    for command in ("serve", "check", "events"):
        run = livehub(command, "--config", str(path))
        assert run.returncode == 1
        assert "server.prot" in run.stderr
        assert "port" in run.stderr
        assert "Traceback" not in run.stderr


def test_the_development_secret_is_refused_where_others_can_connect() -> None:
    run = livehub("serve", "--config", "config/dev.toml", "--host", "0.0.0.0", "--port", "0")
    assert run.returncode == 1
    assert "secret" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_taken_port_is_a_sentence(config: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        run = livehub("serve", "--config", config, "--port", port)
    assert run.returncode == 1
    assert port in run.stderr
    assert "Traceback" not in run.stderr


EXPORTED = ["attendance.csv", "messages.csv", "points.csv", "polls.csv", "questions.csv", "session.json", "votes.csv"]


def keep_session(data: Path) -> None:
    """A log in which a session has a question with an e-mail address."""
    bench = Bench(*(feature for feature in discover() if feature.room == "session"))
    bench.ask("qa.question.ask", {"text": "How?"}, ANNA)

    async def keep() -> None:
        saved = trio.Event()
        lines = [Line(record.kind, record.data) for record in bench.log]
        async with open_sqlite(data, clock_ms=lambda: START_MS) as store:
            store.submit(Entry(Tenure(), "session:keynote", START_MS, lambda error: saved.set(), lines))
            await saved.wait()

    trio.run(keep)


def test_a_session_is_exported_to_files(config: str, tmp_path: Path) -> None:
    keep_session(tmp_path / "data")
    out = tmp_path / "out"
    run = livehub("export", "session", "keynote", "--out", str(out), "--config", config)
    assert (run.returncode, run.stderr) == (0, "")
    assert sorted(run.stdout.split()) == [str(out / name) for name in EXPORTED]
    assert sorted(file.name for file in out.iterdir()) == EXPORTED
    told = json.loads((out / "session.json").read_text())
    assert (told["sessionId"], [one["text"] for one in told["questions"]]) == ("keynote", ["How?"])
    assert "@" not in (out / "session.json").read_text() + (out / "questions.csv").read_text()


def test_addresses_are_exported_where_the_configuration_shares_them(config: str, tmp_path: Path) -> None:
    keep_session(tmp_path / "data")
    with Path(config).open("a") as file:
        file.write("[privacy]\nshare_emails = true\n")
    run = livehub("export", "session", "keynote", "--out", str(tmp_path / "out"), "--config", config)
    assert run.returncode == 0, run.stderr
    assert ANNA.email in (tmp_path / "out" / "questions.csv").read_text()


def test_an_export_replaces_files_only_when_it_is_told(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_session(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    command = ("export", "session", "keynote", "--config", config)
    assert livehub(*command).returncode == 0
    assert sorted(file.name for file in (tmp_path / "export-keynote").iterdir()) == EXPORTED
    again = livehub(*command)
    assert again.returncode == 1
    assert again.stderr.startswith("livehub: export-keynote holds messages.csv, ")
    assert again.stderr.endswith("already; --force replaces what is there\n")
    assert livehub(*command, "--force").returncode == 0


def test_an_export_that_cannot_be_is_a_sentence_and_exit_code_1(config: str, tmp_path: Path) -> None:
    def told(*args: str) -> str:
        run = livehub("export", "session", *args)
        assert run.returncode == 1
        assert "Traceback" not in run.stderr
        return run.stderr

    assert f"there is no log in {tmp_path}/data" in told("keynote", "--config", config)
    keep_session(tmp_path / "data")
    assert told("nowhere", "--config", config) == f"livehub: there is no session 'nowhere' in {tmp_path}/data\n"
    assert "cannot write to" in told("keynote", "--out", config, "--config", config)
    memory = tmp_path / "memory.toml"
    memory.write_text(f'[auth]\nsecret = "{SECRET}"\n[store]\nkind = "memory"\n')
    assert '[store] kind = "memory" keeps nothing' in told("keynote", "--config", str(memory))


def test_a_terminal_is_shown_how_far_an_export_is(config: str, tmp_path: Path) -> None:
    keep_session(tmp_path / "data")
    controller, terminal = pty.openpty()
    command = ["export", "session", "keynote", "--out", str(tmp_path / "out"), "--config", config]
    run = subprocess.run(
        [sys.executable, "-m", "livehub", *command], stdout=subprocess.PIPE, stderr=terminal, timeout=60, check=False
    )
    os.close(terminal)
    shown = ""
    with suppress(OSError), open(controller, encoding="utf-8") as screen:  # a terminal nobody has open ends in an error
        while line := screen.readline():
            shown += line
    assert run.returncode == 0, shown
    for label in ("Reading the log", "Writing files"):
        assert label in shown
    assert shown.count("100%") >= 2
