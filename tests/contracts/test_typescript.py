"""The types compile under `tsc --strict`, with the contract's quick start as it is, typed, and wrong in every way."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from livehub.contracts.events import NAMESPACE
from livehub.contracts.inventory import Inventory
from livehub.contracts.typescript import type_of, typescript
from livehub.features import discover
from livehub.rooms.catalog import Catalog
from tests.contracts.toys import inventory
from tests.endtoend.node import INTEROP, node_command

DOCS = Path(__file__).parents[2] / "docs"
COMPILE_TIMEOUT_S = 100
HOOK, PANEL = "hooks/useSocket.ts", "components/ChatPanel.tsx"
FAULT = re.compile(r"^(\w+)\.ts\(\d+,\d+\): error (.*(?:\n .*)*)", re.MULTILINE)

WRONG_HEAD = """\
import type { Socket } from "socket.io-client";
import type { ClientToServerEvents, ServerToClientEvents } from "./types/realtime";
declare const socket: Socket<ServerToClientEvents, ClientToServerEvents>;
const idempotencyKey = "0b2f3c4d-5e6f-4a1b-8c2d-3e4f5a6b7c8d";
"""
WRONG = {
    "misspelt_event": ('socket.emit("chat.message.sent", { text: "x", idempotencyKey });', '"chat.message.sent"'),
    "missing_field": ('socket.emit("chat.message.send", { idempotencyKey });', "'text' is missing"),
    "missing_key": ('socket.emit("chat.message.send", { text: "x" });', "'idempotencyKey' is missing"),
    "misspelt_field": ('socket.emit("chat.message.send", { txt: "x", idempotencyKey });', "'txt' does not exist"),
    "wrong_type": ('socket.emit("chat.message.send", { text: 5, idempotencyKey });', "'number' is not assignable"),
    "no_payload": ('socket.emit("chat.message.send", null);', "not assignable"),
    "nothing_at_all": ('socket.emit("chat.message.send");', "Source has 0 element(s)"),
    "surplus_argument": (
        'socket.emit("session.join", { sessionId: "a" }, { sessionId: "b" });',
        "does not exist in type '(response",
    ),
    "wrong_choice": (
        'socket.emit("poll.manage", { pollId: idempotencyKey, action: "open", idempotencyKey });',
        "'\"open\"' is not assignable to type '\"close\"'",
    ),
    "unchecked_response": (
        'socket.emit("chat.message.send", { text: "x", idempotencyKey }, (answer) => answer.messageId);',
        "'messageId' does not exist on type 'Ack<",
    ),
    "misspelt_response": (
        'socket.emit("session.join", null, (answer) => answer.success && answer.sessionsId);',
        "'sessionsId' does not exist",
    ),
    "misspelt_server_event": ('socket.on("chat.mesage.new", () => undefined);', '"chat.mesage.new"'),
    "misspelt_server_field": ('socket.on("chat.message.new", (message) => message.txt);', "'txt' does not exist"),
    "offset_of_a_view": ('socket.on("leaderboard.updated", (board, offset: string) => offset);', "not assignable"),
    "own_field_of_another_type": (
        'socket.on("poll.closed", (results) => results.userVotedForOptionId.length);',
        "possibly 'null'",
    ),
}


def compiled(folder: Path, files: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """What `tsc --strict` says of a project of these files, with the options and packages of tests/interop."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "node_modules").symlink_to(INTEROP / "node_modules")
    settings = {"extends": str(INTEROP / "tsconfig.json"), "include": ["**/*"]}
    (folder / "tsconfig.json").write_text(json.dumps(settings))
    command = [*node_command("node_modules/typescript/bin/tsc"), "--strict", "--pretty", "false", "-p", "."]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)


def types() -> str:
    return typescript(Inventory(Catalog(discover()), NAMESPACE))


def interop(name: str) -> str:
    return (INTEROP / name).read_text()


def documented() -> str:
    """The example for front-end developers."""
    return (DOCS / "clients.md").read_text().split("```ts\n")[1].split("```")[0]


def test_the_quick_start_compiles_untyped_and_typed(tmp_path: Path) -> None:
    hook, panel = interop("quickstart.tsx").split("// components/ChatPanel.tsx\n")
    common = {PANEL: panel, "hooks/useAuth.ts": interop("useAuth.ts"), "types/realtime.d.ts": types()}
    typed = {HOOK: interop("useSocket.typed.ts"), "hooks/typed.ts": interop("typed.ts")}
    files = {f"untyped/{name}": text for name, text in {**common, HOOK: hook}.items()}
    files |= {"docs/livehub.d.ts": types(), "docs/example.ts": f"declare const token: string;\n{documented()}"}
    files |= {f"typed/{name}": text for name, text in {**common, **typed}.items()}
    done = compiled(tmp_path, {**files, "ambient.d.ts": interop("ambient.d.ts")})
    assert done.stdout == ""
    assert done.returncode == 0, done.stderr


def test_the_typed_hook_is_the_quick_start_but_for_its_types() -> None:
    hook = interop("quickstart.tsx").split("// components/ChatPanel.tsx\n")[0]
    ours = interop("useSocket.typed.ts").replace("LiveSocket | null>", "Socket | null>")
    ours = ours.replace("socket: LiveSocket", "socket")
    own = [line for line in ours.splitlines() if line not in hook.splitlines()]
    assert own == [
        ours.splitlines()[0],
        "import type { ClientToServerEvents, ServerToClientEvents } from '../types/realtime';",
        "type LiveSocket = Socket<ServerToClientEvents, ClientToServerEvents>;",
    ]
    assert {line for line in hook.splitlines() if line not in ours.splitlines()} == {"// hooks/useSocket.ts"}


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """File → what the compiler says against it; one run for all that is wrong."""
    files = {f"{name}.ts": WRONG_HEAD + line for name, (line, _) in WRONG.items()}
    files["right.ts"] = WRONG_HEAD + 'socket.emit("chat.message.send", { text: "x", idempotencyKey });\n'
    done = compiled(tmp_path_factory.mktemp("wrong"), {**files, "types/realtime.d.ts": types()})
    found: dict[str, list[str]] = {}
    for name, text in FAULT.findall(done.stdout):
        found.setdefault(name, []).append(text)
    return found


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_use_does_not_compile(name: str, faults: dict[str, list[str]]) -> None:
    _, told = WRONG[name]
    assert told in "\n".join(faults.get(name, [])), faults.get(name)


def test_a_right_use_beside_them_does(faults: dict[str, list[str]]) -> None:
    assert set(faults) == set(WRONG)


def test_types_of_every_shape_compile(tmp_path: Path) -> None:
    done = compiled(tmp_path, {"toys.d.ts": typescript(inventory())})
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({}, "unknown"),
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "number"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "string", "enum": ["a", 'b"']}, '"a" | "b\\""'),
        ({"type": "boolean", "enum": [True]}, "true"),
        ({"type": "object"}, "Record<string, unknown>"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "Record<string, number>"),
        ({"type": "array"}, "unknown[]"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "Array<string | null>"),
        ({"$ref": "#/components/schemas/Toy"}, "Toy"),
        ({"$ref": "#/components/schemas/Ack"}, "Ack_"),
        ({"anyOf": [{"$ref": "#/components/schemas/Toy"}, {"type": "null"}]}, "Toy | null"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "number"),
        ({"allOf": [{"$ref": "#/components/schemas/Success"}, {"$ref": "#/components/schemas/Toy"}]}, "Success & Toy"),
    ],
)
def test_a_schema_is_a_type(schema: dict[str, Any], told: str) -> None:
    assert type_of(schema) == told


def test_maps_name_payload_reply_and_who_hears_it() -> None:
    text = typescript(inventory())
    for line in (
        '"toy.make": (...args: Asking<MakeToyPayload, ToyMade>) => void;',
        '"box.join": (...args: AskingFreely<BoxJoinPayload, Sat>) => void;',
        '"toy.drop": (...args: Asking<ToyDropPayload>) => void;',
        '"toy.new": (payload: Toy, offset?: string) => void;',
        '"toy.broken": (payload: Broken | Toys, offset?: string) => void;',
        '"toy.count": (payload: Record<string, number>) => void;',
        "/** Make a toy. It is there at once. Needs toys:make or toys:mend. At most 5 in 10 s. */",
        "/** A toy | is there. To session:{sessionId}. `ownerId` is the receiver's own. */",
        "ownerId?: string | null;",
        "votes?: Record<string, number>;",
    ):
        assert f"\n  {line}\n" in text
    assert "/** All toys * / that there are. */" in text
