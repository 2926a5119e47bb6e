"""A crowd of guests votes within 2 s of being asked, some twice: each is counted once, and all of it can be checked."""

from __future__ import annotations

import random
import resource
import secrets
import selectors
import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from livehub.ballots import vote_hash
from tests.endtoend.guests import DOORS, Crowd, Guest, enter_all, join_all, live, p95
from tests.harness import Server

SETTINGS = {
    "limits": {"enabled": True, "handshakes_per_address_per_s": 10_000},
    "polling": {"grace_s": 600},  # whoever drops is back before it is over, on any machine
}
OPTIONS = ("Tea", "Coffee", "Water")
DEADLINE_S = 60.0
FILES_BESIDE = 200
GUESSERS = 3


class Desk:
    """The presenter's REST requests."""

    def __init__(self, server: Server) -> None:
        token = server.token("presenter", role="ADMIN")
        self._http = httpx.Client(
            base_url=f"{server.url}/api", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )

    def asks(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """A request: the body of the answer."""
        answer = self._http.request(method, path, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def close(self) -> None:
        """No more requests."""
        self._http.close()


def test_a_crowd_votes_at_once_and_everybody_is_counted_once(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    seed, people = secrets.randbits(32), pytestconfig.getoption("--guests")
    print(f"seed {seed}, {people} guests")
    _allow_files(people + FILES_BESIDE)
    crowd = Crowd(random.Random(seed))
    with Server(tmp_path, SETTINGS) as server, selectors.DefaultSelector() as selector:
        desk = Desk(server)
        session = desk.asks("POST", "/sessions", {"title": "Crowd"})
        path = f"/sessions/{session['id']}"
        desk.asks("POST", f"{path}/start")
        since_s = time.monotonic()
        admitted, took_s = join_all(server, session["slug"], people)
        print(
            f"joined in {time.monotonic() - since_s:.1f} s, the median took {statistics.median(took_s) * 1000:.1f} ms"
        )
        guests = enter_all(server, crowd, admitted, selector, DEADLINE_S)
        print(f"all there after {time.monotonic() - since_s:.1f} s")
        asked = {"question": "What next?", "isAnonymous": True, "options": [{"text": text} for text in OPTIONS]}
        poll_id = desk.asks("POST", f"{path}/polls", asked)["pollId"]
        vote(desk, f"{path}/polls/{poll_id}", crowd, guests, selector)
        check(desk.asks("GET", f"{path}/polls/{poll_id}")["poll"], crowd, guests)
        check_hash(desk.asks("GET", f"{path}/export?format=json"), poll_id, guests)
        p95_ms, most_ms = p95(crowd.every_ms()), pytestconfig.getoption("--guests-p95-ms")
        print(f"{len(crowd.every_ms())} events; 95 of 100 took at most {p95_ms:.1f} ms")
        for name, times_ms in crowd.took_ms.items():
            print(f"  {name.decode()}: {len(times_ms)}, {p95(times_ms):.1f} ms")
        for guest in guests:
            guest.leave()
        desk.close()
        assert server.stop() == 0
        assert "Traceback" not in server.log
    assert most_ms == 0 or p95_ms <= most_ms


def test_right_codes_open_beside_wrong_ones_from_the_same_address(tmp_path: Path) -> None:
    with Server(tmp_path, SETTINGS) as server:
        desk = Desk(server)
        slug = desk.asks("POST", "/sessions", {"title": "Venue"})["slug"]
        desk.close()
        with ThreadPoolExecutor(GUESSERS) as pool:
            guessed = [pool.submit(httpx.post, f"{server.url}/api/sessions/BBBBBB/join") for _ in range(GUESSERS)]
            admitted, took_s = join_all(server, slug, DOORS)
            refused = [guess.result() for guess in guessed]
        print(f"the slowest of the right codes took {max(took_s):.2f} s")
        assert len({one["participantId"] for one in admitted}) == DOORS
        assert {answer.status_code for answer in refused} == {404}
        assert {answer.json()["error"]["message"] for answer in refused} == {"Session not found"}


def vote(desk: Desk, path: str, crowd: Crowd, guests: list[Guest], selector: selectors.BaseSelector) -> None:
    """Open the poll, wait until everybody has their answer, close it, and wait until everybody knows."""
    crowd.measuring = True
    in_background(lambda: desk.asks("POST", f"{path}/activate"), crowd, selector)
    since_s = time.monotonic()
    live(crowd, selector, lambda: all(guest.outcome for guest in guests), DEADLINE_S)
    print(f"all have voted {time.monotonic() - since_s:.1f} s after it was opened")
    in_background(lambda: desk.asks("POST", f"{path}/close"), crowd, selector)
    live(crowd, selector, lambda: all(guest.closed for guest in guests), DEADLINE_S)


def in_background(ask: Any, crowd: Crowd, selector: selectors.BaseSelector) -> None:
    """A request, while everybody reads on: waiting for the answer must not look like the server's delay."""
    asking = threading.Thread(target=ask)
    asking.start()
    live(crowd, selector, lambda: not asking.is_alive(), DEADLINE_S)
    asking.join()


def check(poll: dict[str, Any], crowd: Crowd, guests: list[Guest]) -> None:
    """Everybody was counted once, for what they chose, and everybody heard the same."""
    assert crowd.faults == []
    outcomes = Counter("accepted" if told["success"] else told["reason"] for told in _outcomes(guests))
    print(f"{dict(outcomes)}, {sum(guest.drops for guest in guests)} dropped")
    assert outcomes["accepted"] + outcomes["duplicate_vote"] == len(guests)
    known = [guest for guest in guests if guest.outcome and not guest.outcome["success"]]
    assert all(guest.drops for guest in known), "only whoever lost connection can have voted before"
    assert all(guest.told[b"connection:reconnected"] == guest.drops for guest in guests)
    assert poll["totalVotes"] == len(guests)
    chosen = Counter(guest.chosen["selectedOptionIds"][0] for guest in guests)
    assert {one["id"]: one["voteCount"] for one in poll["options"] if one["voteCount"]} == dict(chosen)
    assert len({tuple(guest.polls) for guest in guests}) == 1, "not everybody heard the same about the poll"
    finals = [guest.closed for guest in guests]
    assert all(final == finals[0] for final in finals)
    assert finals[0] is not None
    assert finals[0]["finalVoteCount"] == len(guests)
    assert finals[0]["rejectedVotes"] == ({"duplicate_vote": len(known)} if known else {})
    assert round(sum(one["percentage"] for one in finals[0]["voteBreakdown"]), 1) == 100.0


def check_hash(exported: dict[str, Any], poll_id: str, guests: list[Guest]) -> None:
    """The exported votes hash to what was published, and every receipt finds its own vote among them."""
    votes = [one for one in exported["votes"] if one["pollId"] == poll_id]
    assert all(guest.closed and guest.closed["voteHash"] for guest in guests)
    assert guests[0].closed is not None
    assert vote_hash((one["voteId"], one["voteData"]) for one in votes) == guests[0].closed["voteHash"]
    by_id = {one["voteId"]: one["voteData"] for one in votes}
    assert len(by_id) == len(votes) == len(guests)
    for guest in guests:
        if guest.outcome is not None and guest.outcome["success"]:
            assert by_id[guest.outcome["receipt"]] == guest.chosen


def _outcomes(guests: list[Guest]) -> list[dict[str, Any]]:
    return [guest.outcome for guest in guests if guest.outcome is not None]


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
