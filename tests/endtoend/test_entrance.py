"""Who is let in on `/events`, and what the others are told (contracts, points 2, 3 and 14)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.endtoend.node import Client, Node
from tests.endtoend.stage import Stage
from tests.harness import SECRET, Server

CLAIMS = {"sub": "ada", "email": "ada@example.org", "orgId": "org"}


def _signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    told = {**CLAIMS, "exp": int(time.time()) + 3_600, **claims}
    return jwt.encode({name: value for name, value in told.items() if value is not None}, secret, algorithm)


FAULTS = {
    "missing": ("", "token_missing"),
    "not a token": ("nonsense", "token_malformed"),
    "signed by somebody else": (_signed(SECRET[::-1]), "token_invalid"),
    "another algorithm": (_signed(algorithm="HS512"), "token_invalid"),
    "expired": (_signed(exp=int(time.time()) - 60), "token_expired"),
    "not valid yet": (_signed(nbf=int(time.time()) + 600), "token_not_yet_valid"),
    "without an end": (_signed(exp=None), "token_claims"),
    "with an end that is text": (
        jwt.PyJWS().encode(b'{"sub": "ada", "exp": "9999999999"}', SECRET, "HS256"),
        "token_claims",
    ),
    "without a user": (_signed(sub=None), "token_claims"),
    "with a user that is no id": (_signed(sub="ada lovelace"), "token_claims"),
}


async def _turned_away(client: Client) -> dict[str, Any]:
    """Wait for the end: what the client was told before it."""
    assert (await client.reported("disconnect"))[0] == "io server disconnect"
    assert client.payloads("connectionAcknowledged") == []
    (error,) = client.payloads("systemError")
    assert set(error) == {"message", "reason"}
    return dict(error)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_bad_token_is_told_and_disconnected(stage: Stage, fault: str) -> None:
    token, reason = FAULTS[fault]
    client = stage.connect("ada", token=token)
    assert await _turned_away(client) == {"message": "Authentication failed", "reason": reason}


async def test_it_is_told_over_polling_too(stage: Stage) -> None:
    client = stage.connect("ada", token="nonsense", transports=("polling",))
    assert await _turned_away(client) == {"message": "Authentication failed", "reason": "token_malformed"}


async def test_a_new_token_on_the_same_socket_gets_in(stage: Stage) -> None:
    ada = stage.connect("ada", token=FAULTS["expired"][0])
    await _turned_away(ada)
    ada.connect({"token": f"Bearer {stage.token('ada')}"})
    assert (await ada.heard("connectionAcknowledged"))[0] == {"userId": stage.id_of("ada")}


@pytest.mark.parametrize("prefix", ["", "Bearer ", "bearer "])
async def test_a_token_comes_in_auth_or_in_a_header(stage: Stage, prefix: str) -> None:
    url, token = f"{stage.server.url}/events", prefix + stage.token("ada")
    in_auth = stage.node.open("auth", url, auth={"token": token}, transports=["websocket"])
    in_header = stage.node.open("header", url, extraHeaders={"Authorization": token}, transports=["polling"])
    for client in (in_auth, in_header):
        assert (await client.heard("connectionAcknowledged"))[0] == {"userId": stage.id_of("ada")}


@pytest.mark.parametrize("namespace", ["/nowhere", ""])
async def test_an_unknown_namespace_is_invalid(stage: Stage, namespace: str) -> None:
    client = stage.connect("ada", namespace=namespace)
    assert await client.reported("connect_error") == ["Invalid namespace", None]


async def test_whoever_is_deactivated_is_cut_off_at_once_and_not_let_in_again(stage: Stage) -> None:
    ada, other = await stage.enter("ada"), await stage.enter("ada", device="-tablet", transports=("polling",))
    grace, admin = await stage.enter("grace"), stage.token("boss", role="ADMIN")
    path = f"/api/users/{stage.id_of('ada')}"
    refused = await stage.server.request("POST", f"{path}/deactivate", stage.token("grace"))
    assert (refused.status_code, refused.json()["error"]["message"]) == (403, "You do not have permission")
    done = await stage.server.request("POST", f"{path}/deactivate", admin)
    assert done.status_code == 200, done.text
    for client in (ada, other):
        assert (await client.reported("disconnect"))[0] == "io server disconnect"
        assert client.payloads("systemError") == [{"message": "Authentication failed", "reason": "user_deactivated"}]
    again = stage.connect("ada", device="-again")
    assert (await _turned_away(again))["reason"] == "user_deactivated"
    rest = await stage.server.request("GET", f"/api/sessions/{stage.session}/messages", stage.token("ada"))
    assert rest.status_code == 401
    await stage.send(grace, "still here")
    back = await stage.server.request("PUT", path, admin, {"firstName": "Ada", "active": True})
    assert back.status_code == 200, back.text
    await stage.enter("ada", device="-back")


async def test_a_connection_ends_with_its_token(tmp_path: Path, node: Node) -> None:
    with Server(tmp_path, {"auth": {"expiry_grace_s": 0, "leeway_s": 0}}) as server:
        stage = Stage(server, node)
        ada = stage.connect("ada", token=server.token(stage.id_of("ada"), ttl_s=2))
        await ada.heard("connectionAcknowledged")
        assert (await ada.heard("systemError"))[0] == {"message": "Authentication failed", "reason": "token_expired"}
        assert (await ada.reported("disconnect"))[0] == "io server disconnect"
        ada.connect()
        await ada.reported("disconnect", 2)
        assert len(ada.payloads("connectionAcknowledged")) == 1


async def test_the_command_line_makes_tokens_that_get_in(stage: Stage) -> None:
    token = await stage.server.command("token", "--user", "cli", "--name", "Grace Hopper", "--role", "MEMBER")
    client = stage.connect("cli", token=token.strip())
    assert (await client.heard("connectionAcknowledged"))[0] == {"userId": "cli"}
    await client.ask("session.join", {"sessionId": stage.session})
    await stage.send(client, "from the command line")
    author = (await client.heard("chat.message.new"))[0]["author"]
    assert author == {"id": "cli", "firstName": "Grace", "lastName": "Hopper"}
