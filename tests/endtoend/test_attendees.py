"""A lively session: no error, no missed fact, every acked vote counted, and a clean end."""

from __future__ import annotations

import random
import secrets
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import trio

from tests.endtoend.attendees import Attendee, Hall, attend
from tests.harness import Server

SETTINGS = {
    "limits": {"enabled": True, "handshakes_per_address_per_s": 10_000},
    "engine": {"ping_interval_ms": 5_000},
}
SESSION = "keynote"


def test_a_lively_session(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    seed, attendees = secrets.randbits(32), pytestconfig.getoption("--attendees")
    seconds = pytestconfig.getoption("--attend-s")
    print(f"seed {seed}, {attendees} attendees, {seconds} s")
    hall = Hall(random.Random(seed))
    with Server(tmp_path, SETTINGS) as server, ExitStack() as stack:
        people = []
        for number in range(attendees):
            people.append(Attendee(server, SESSION, number, hall))
            stack.enter_context(closing(people[-1].socket))
        started_s = time.monotonic()
        attend(people, hall, seconds)
        print(f"done after {time.monotonic() - started_s:.1f} s: {dict(hall.acked)}, {people[0].heard} facts each")
        assert hall.faults == []
        assert len({person.checksum for person in people}) == 1, "not everybody heard the same facts in the same order"
        assert set(hall.acked) == {"react", "chat", "upvote", "ask", "state", "poll", "vote"}
        assert people[0].heard == hall.facts
        owner = server.token("attendee-0", role="OWNER")
        listed = trio.run(server.request, "GET", f"/api/sessions/{SESSION}/polls", owner).json()["polls"]
        assert {one["poll"]["id"]: one["poll"]["totalVotes"] for one in listed} == dict(hall.voted)
        assert sum(hall.voted.values()) == attendees * len(listed)
        assert server.stop() == 0
        assert "Traceback" not in server.log
        print(server.log[-2_000:])
