"""The whole server in one process: it opens, answers, refuses what it must, and closes in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import jwt
import pytest
import trio

from livehub import app
from livehub.auth import mint
from livehub.errors import ConfigError
from livehub.features.lifecycle import PollingSettings
from livehub.settings import AuthSection, RuntimeSection, ServerSection, Settings, StoreSection

AUTH = AuthSection(secret="a secret of at least thirty-two bytes")
DEADLINE_S = 30.0


def settings(directory: Path, **server: Any) -> Settings:
    return Settings(
        server=ServerSection(port=0, shutdown_jitter_s=0.0, **server),
        auth=AUTH,
        store=StoreSection(data=directory, kind="sqlite"),
        runtime=RuntimeSection(gc_freeze=False, gc_threshold=(700, 10, 10)),
    )


@asynccontextmanager
async def serving(chosen: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that is stopped, and has stopped, at the end of the block."""
    stop, announced = trio.Event(), trio.Event()
    urls: list[str] = []

    def announce(url: str) -> None:
        urls.append(url)
        announced.set()

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(app.serve, chosen, announce, stop, trio.Event()))
            await announced.wait()
            async with httpx.AsyncClient(base_url=urls[0]) as client:
                yield client
            stop.set()


def bearer(user: str, role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {mint(AUTH, user=user, org='org', role=role)}"}


async def test_it_serves_health_metrics_page_and_polling_on_one_port(tmp_path: Path) -> None:
    async with serving(settings(tmp_path)) as client:
        assert (await client.get("/healthz")).json()["status"] == "ok"
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        page = await client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert "livehub" in page.text
        opened = await client.get("/socket.io/", params={"EIO": "4", "transport": "polling"})
        assert opened.text.startswith('0{"sid":')
        figures = (await client.get("/metrics")).text
        assert 'livehub_connections{transport="polling"} 1.0' in figures


async def test_metrics_tell_what_operators_watch(tmp_path: Path) -> None:
    async with serving(settings(tmp_path)) as client:
        figures = (await client.get("/metrics")).text
    for name in (
        "livehub_connections",
        "livehub_sockets",
        "livehub_rooms",
        "livehub_facts_total",
        "livehub_commit_seconds_bucket",
        "livehub_fanout_frames_total",
        "livehub_fanout_bytes_total",
        "livehub_outbox_bytes",
        "livehub_slow_closes_total",
        "livehub_refusals_total",
        "livehub_loop_lag_seconds_bucket",
        "process_resident_memory_bytes",
    ):
        assert name in figures, name


async def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    admin = bearer("grace", "ADMIN")
    async with serving(settings(tmp_path)) as client:
        made = await client.post("/api/sessions", json={"id": "s1", "title": "Keynote"}, headers=admin)
        assert made.status_code == 201
    async with serving(settings(tmp_path)) as client:
        found = await client.get("/api/sessions/s1", headers=admin)
        assert found.status_code == 200
        assert found.json()["title"] == "Keynote"


async def test_a_stranger_is_told_nothing(tmp_path: Path) -> None:
    async with serving(settings(tmp_path)) as client:
        for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic abc"}):
            answer = await client.get("/api/sessions/s1", headers=headers)
            assert answer.status_code == 401
            assert answer.json() == {
                "success": False,
                "error": {"message": "Authentication failed", "statusCode": 401},
            }


async def test_a_guest_joins_with_the_code_and_is_the_same_after_a_restart(tmp_path: Path) -> None:
    admin = bearer("grace", "ADMIN")
    async with serving(settings(tmp_path)) as client:
        made = (await client.post("/api/sessions", json={"id": "s1"}, headers=admin)).json()
        first = await client.post(f"/api/sessions/{made['slug']}/join", json={"displayName": "Gus"})
        assert first.status_code == 200, first.text
        assert (await client.post("/api/sessions/AAAAAA/join")).status_code == 404
    async with serving(settings(tmp_path)) as client:
        guest = {"Authorization": f"Bearer {first.json()['token']}"}
        again = await client.post(f"/api/sessions/{made['slug']}/join", headers=guest)
        assert again.json()["participantId"] == first.json()["participantId"]
        read = await client.get("/api/sessions/s1", headers=guest)
        assert (read.status_code, read.json()["participantCount"]) == (200, 1)
        drawn = await client.get("/api/sessions/s1/qr.svg", headers=guest)
        assert f"<title>{str(client.base_url).rstrip('/')}/join/{made['slug']}</title>" in drawn.text
        listed = await client.get("/api/sessions", headers=admin)
        assert [one["slug"] for one in listed.json()["sessions"]] == [made["slug"]]


async def test_a_guests_token_lasts_as_long_as_it_is_set(tmp_path: Path) -> None:
    chosen = attrs.evolve(settings(tmp_path), features={"polling": PollingSettings(guest_token_h=2.0)})
    async with serving(chosen) as client:
        admin = bearer("grace", "ADMIN")
        made = (await client.post("/api/sessions", json={"id": "s1"}, headers=admin)).json()
        told = (await client.post(f"/api/sessions/{made['slug']}/join")).json()
        claims = jwt.decode(told["token"], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 2 * 3_600


@pytest.mark.parametrize(("trust_proxy", "expected"), [(False, "127.0.0.1"), (True, "203.0.113.9")])
def test_the_address_of_a_request_is_that_of_a_handshake(trust_proxy: bool, expected: str) -> None:
    headers = [(b"host", b"a.test"), (b"x-forwarded-for", b"10.0.0.1, 203.0.113.9")]
    scope = {"client": ("127.0.0.1", 4321), "headers": headers}
    assert app.address_of(scope, trust_proxy=trust_proxy) == expected
    assert app.address_of({"client": None, "headers": []}, trust_proxy=trust_proxy) == ""


async def test_a_foreign_page_may_not_connect(tmp_path: Path) -> None:
    async with serving(settings(tmp_path, origins=("https://good.example",))) as client:
        query = {"EIO": "4", "transport": "polling"}
        refused = await client.get("/socket.io/", params=query, headers={"Origin": "https://evil.example"})
        assert refused.status_code == 403
        assert refused.json() == {"code": 4, "message": "Forbidden"}
        allowed = await client.get("/socket.io/", params=query, headers={"Origin": "https://good.example"})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://good.example"


async def test_beyond_its_connections_newcomers_get_503_and_the_rest_goes_on(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    chosen = attrs.evolve(chosen, limits=attrs.evolve(chosen.limits, connections_max=1))
    async with serving(chosen) as client:
        query = {"EIO": "4", "transport": "polling"}
        assert (await client.get("/socket.io/", params=query)).status_code == 200
        full = await client.get("/socket.io/", params=query)
        assert full.status_code == 503
        assert "retry-after" in full.headers
        assert (await client.get("/healthz")).status_code == 200


async def test_a_taken_port_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    async with serving(settings(tmp_path / "one")) as client:
        port = client.base_url.port or 0
        taken = settings(tmp_path / "two")
        taken = attrs.evolve(taken, server=attrs.evolve(taken.server, port=port))
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            await app.serve(taken, lambda _: None, trio.Event(), trio.Event())
    assert not (tmp_path / "two").exists()
