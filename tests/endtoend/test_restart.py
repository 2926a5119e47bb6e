"""The log outlives the process: what clients find after `kill -9`, and after the data is gone."""

from __future__ import annotations

import shutil

from tests.endtoend.node import Node
from tests.endtoend.stage import Stage, texts
from tests.harness import Server


async def test_after_kill_9_clients_recover_by_themselves(server: Server, node: Node) -> None:
    stage = Stage(server, node)
    ada, grace = await stage.enter("ada"), await stage.enter("grace", returns=False)
    quiet = await stage.enter("quiet", transports=("polling",))
    await stage.send(ada, "before")
    await grace.heard("chat.message.new")
    grace.drop()
    await grace.reported("disconnect")
    await stage.send(ada, "missed")
    server.kill()
    for client in (ada, quiet):
        await client.reported("disconnect")
    await server.restart()
    for client in (ada, quiet):
        assert (await client.acknowledged(2))["recovered"] is True
    grace.connect()
    assert (await grace.acknowledged(2))["recovered"] is True
    await stage.send(ada, "after")
    for client in (ada, grace, quiet):
        assert texts(await client.heard("chat.message.new", 3)) == ["before", "missed", "after"], client.name
    assert texts(await server.history(stage.session, stage.token("ada"))) == ["before", "missed", "after"]


async def test_twice_in_a_row(server: Server, node: Node) -> None:
    stage = Stage(server, node)
    ada = await stage.enter("ada")
    for time in (1, 2):
        await stage.send(ada, str(time))
        server.kill()
        await ada.reported("disconnect", time)
        await server.restart()
        assert (await ada.acknowledged(time + 1))["recovered"] is True
    await stage.send(ada, "3")
    assert texts(await ada.heard("chat.message.new", 3)) == ["1", "2", "3"]


async def test_a_new_data_directory_is_a_new_past(server: Server, node: Node) -> None:
    stage = Stage(server, node)
    ada = await stage.enter("ada")
    await stage.send(ada, "forgotten")
    await ada.heard("chat.message.new")
    server.kill()
    await ada.reported("disconnect")
    shutil.rmtree(server.data)
    await server.restart()
    assert (await ada.acknowledged(2))["recovered"] is False
    await ada.ask("session.join", {"sessionId": stage.session})
    _, snapshot = await ada.heard("session.snapshot", 2)
    assert (snapshot["sessionId"], snapshot["messages"]) == (stage.session, [])
    await stage.send(ada, "new")
    assert texts(await ada.heard("chat.message.new", 2)) == ["forgotten", "new"]


async def test_deactivation_and_names_survive(server: Server, node: Node) -> None:
    stage = Stage(server, node)
    admin = stage.token("boss", role="ADMIN")
    await server.request("POST", f"/api/users/{stage.id_of('eve')}/deactivate", admin)
    await server.request("PUT", f"/api/users/{stage.id_of('ada')}", admin, {"firstName": "Augusta"})
    server.kill()
    await server.restart()
    eve = stage.connect("eve")
    assert (await eve.reported("disconnect"))[0] == "io server disconnect"
    ada = await stage.enter("ada")
    await stage.send(ada, "Hello")
    assert (await ada.heard("chat.message.new"))[0]["author"]["firstName"] == "Augusta"
