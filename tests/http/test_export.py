"""The export of a session over REST: who gets it, what is in it, and what is in it for nobody."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import trio
from trio.testing import MockClock

from livehub.errors import Refused
from livehub.exporting import BOM
from livehub.feature import Via
from livehub.http.export import EXPORT_TIMEOUT_S, EXPORTS_AT_ONCE_MAX, Exports, _sent
from tests.http.stage import Stage, stage
from tests.kit import ANNA, BEN, Ears, ears, settle

S1 = {"sessionId": "s1"}
ROUTE = "/api/sessions/s1/export"
TABLES = ["messages", "points", "attendance", "polls", "votes", "questions"]
FORMULA = '=HYPERLINK("https://evil.example","free, really")'
SECRET_QUESTION = "Who dares?"


@dataclass
class Played:
    """A session in which something of everything happened."""

    set_up: Stage
    anna: Ears
    ben: Ears
    named: str = ""  # a poll
    anonymous: str = ""  # a poll

    async def do(self, name: str, data: dict[str, Any], by: Ears, **knock: Any) -> dict[str, Any]:
        """Ask in the session."""
        return await self.set_up.hub.do(name, {**S1, **data}, by, **knock)

    async def manage(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do over REST what managers do."""
        status, told = await self.set_up.request(method, f"/api/sessions/s1/{path}", "olga", body or {})
        assert status in (200, 201), told
        await settle()
        return dict(told)

    async def poll(self, question: str, *, anonymous: bool) -> str:
        """A poll in which Ben votes, then Anna; closed."""
        options = [{"text": "Tea"}, {"text": "Milk, hot"}]
        made = await self.manage("POST", "polls", {"question": question, "options": options, "isAnonymous": anonymous})
        poll_id = str(made["pollId"])
        await self.manage("POST", f"polls/{poll_id}/activate")
        for voter, place in ((self.ben, 1), (self.anna, 0)):
            chosen = {"selectedOptionIds": [made["poll"]["options"][place]["id"]]}
            await self.do("poll.vote.cast", {"pollId": poll_id, "voteData": chosen}, voter, door=Via.CONTRACT)
            await trio.sleep(2)
        await self.manage("POST", f"polls/{poll_id}/close")
        return poll_id

    async def export(self, query: str = "", who: str = "olga") -> tuple[int, dict[str, str], str]:
        """Status, headers and text."""
        headers = {"Authorization": f"Bearer {who}"} if who else {}
        answer = await self.set_up.app.test_client().get(f"{ROUTE}{query}", headers=headers)
        return answer.status_code, dict(answer.headers), await answer.get_data(as_text=True)

    async def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The JSON export."""
        status, _, text = await self.export()
        assert status == 200, text
        told = json.loads(text)
        return {name: rows for name, rows in told.items() if isinstance(rows, list)}


@asynccontextmanager
async def played() -> AsyncIterator[Played]:
    """Polls with votes, questions with and without a name, messages, people who came and went."""
    async with stage() as set_up:
        play = Played(set_up, ears(ANNA), ears(BEN))
        for one in (play.anna, play.ben):
            await play.do("session.join", {}, one)
        said = await play.do("chat.message.send", {"text": FORMULA}, play.anna)
        await play.do("chat.message.react", {"messageId": said["messageId"], "emoji": "👍"}, play.ben)
        gone = await play.do("chat.message.send", {"text": "Oh, forget it"}, play.ben)
        await play.do("chat.message.delete", {"messageId": gone["messageId"]}, play.ben)
        await play.do("qa.question.ask", {"text": "How?"}, play.ben)
        await play.do("qa.question.ask", {"text": SECRET_QUESTION, "isAnonymous": True}, play.anna)
        await trio.sleep(600)
        await play.do("session.leave", {}, play.ben)
        await trio.sleep(300)
        await play.do("session.join", {}, play.ben)
        play.named = await play.poll("Tea?", anonymous=False)
        play.anonymous = await play.poll("Secretly?", anonymous=True)
        yield play


def cells(text: str) -> list[dict[str, str]]:
    assert text.startswith(BOM)
    return list(csv.DictReader(io.StringIO(text.removeprefix(BOM), newline=""), strict=True))


async def test_the_export_has_every_table_with_its_rows(autojump_clock: MockClock) -> None:
    async with played() as play:
        status, headers, text = await play.export()
        assert status == 200
        assert headers["content-type"] == "application/json"
        assert headers["content-disposition"] == 'attachment; filename="session-s1.json"'
        assert headers["cache-control"] == "no-store"
        told = json.loads(text)
        assert list(told) == ["sessionId", "exportedAt", *TABLES]
        assert (told["sessionId"], told["exportedAt"]) == ("s1", "2026-01-01T00:15:08.000Z")
        (message,) = told["messages"]
        assert (message["text"], message["authorName"], message["reactions"]) == (FORMULA, "Anna Tester", {"👍": 1})
        assert [one["text"] for one in told["questions"]] == ["How?", SECRET_QUESTION]
        points = {one["userId"]: (one["name"], one["points"], one["badges"]) for one in told["points"]}
        assert points["ben"] == ("Ben Tester", 1 + 2 + 5 + 1, ["Question Asker"])


async def test_attendance_is_the_minutes_that_somebody_was_there(autojump_clock: MockClock) -> None:
    """Ben was away for 5 minutes; both are still there."""
    async with played() as play:
        rows = (await play.tables())["attendance"]
        there = {row["userId"]: (row["displayName"], row["minutes"], row["isPresent"]) for row in rows}
        assert there == {"anna": ("Anna Tester", 15.1, True), "ben": ("Ben Tester", 10.1, True)}


async def test_votes_are_named_in_a_poll_that_is_not_anonymous(autojump_clock: MockClock) -> None:
    async with played() as play:
        tables = await play.tables()
        votes = [row for row in tables["votes"] if row["pollId"] == play.named]
        known = {row["participantId"]: row["userId"] for row in tables["attendance"]}
        assert [known[row["participantId"]] for row in votes] == ["ben", "anna"]
        assert [row["name"] for row in votes] == ["Ben Tester", "Anna Tester"]
        assert all(row["acceptedAt"].startswith("2026-01-01T00:15:0") for row in votes)


async def test_the_votes_hash_to_what_was_published_from_json_and_from_csv(autojump_clock: MockClock) -> None:
    async with played() as play:
        tables = await play.tables()
        published = {payload["poll"]["id"]: payload for payload in play.anna.events("poll.closed")}
        facts = await play.set_up.hub.store.read("session:s1", 0, 1_000)
        closed = {
            data["pollId"]: data for one in facts if one.kind == "poll.closed" for data in [orjson.loads(one.data)]
        }
        assert published.keys() == closed.keys() == {play.named, play.anonymous}
        rows = cells((await play.export("?format=csv&table=votes"))[2])
        for poll in tables["polls"]:
            votes = [row for row in tables["votes"] if row["pollId"] == poll["pollId"]]
            lines = [
                f"{row['voteId']} {json.dumps(row['voteData'], sort_keys=True, separators=(',', ':'))}\n"
                for row in votes
            ]
            again = [f"{row['voteId']} {row['voteData']}\n" for row in rows if row["pollId"] == poll["pollId"]]
            assert len(lines) == poll["totalVotes"] == 2
            assert lines == again
            assert hashlib.sha256("".join(lines).encode()).hexdigest() == poll["voteHash"]
            assert poll["voteHash"] == closed[poll["pollId"]]["voteHash"]


async def test_nothing_tells_who_voted_anonymously(autojump_clock: MockClock) -> None:
    async with played() as play:
        votes = [row for row in (await play.tables())["votes"] if row["pollId"] == play.anonymous]
        assert len(votes) == 2
        for row in votes:
            assert (row["acceptedAt"], row["participantId"], row["name"]) == (None, None, None)
            assert set(row) == {"pollId", "voteId", "voteData", "acceptedAt", "participantId", "name"}
        rows = cells((await play.export("?format=csv&table=votes"))[2])
        assert {
            row["participantId"] + row["name"] + row["acceptedAt"] for row in rows if row["pollId"] == play.anonymous
        } == {""}


async def test_nothing_tells_who_asked_anonymously(autojump_clock: MockClock) -> None:
    async with played() as play:
        named, secret = (await play.tables())["questions"]
        assert (named["authorId"], named["authorName"]) == ("ben", "Ben Tester")
        assert (secret["isAnonymous"], secret["authorId"], secret["authorName"]) == (True, None, None)
        assert "anna" not in json.dumps(secret).lower()


@pytest.mark.parametrize("query", ["", "?format=csv", *(f"?format=csv&table={name}" for name in TABLES)])
async def test_no_email_address_and_no_deleted_message_is_exported(query: str, autojump_clock: MockClock) -> None:
    async with played() as play:
        status, _, text = await play.export(query)
        assert status == 200
        assert "@mail.test" not in text
        assert "forget it" not in text


async def test_one_table_as_csv_for_a_spreadsheet(autojump_clock: MockClock) -> None:
    async with played() as play:
        status, headers, text = await play.export("?format=csv&table=messages")
        assert status == 200
        assert headers["content-type"] == "text/csv; charset=utf-8"
        assert headers["content-disposition"] == 'attachment; filename="session-s1-messages.csv"'
        (message,) = cells(text)
        assert message["text"] == f"'{FORMULA}"
        assert text.splitlines(keepends=True)[0].endswith("\r\n")
        (poll, _) = cells((await play.export("?format=csv&table=polls"))[2])
        assert json.loads(poll["options"])[1]["text"] == "Milk, hot"


async def test_one_table_as_json(autojump_clock: MockClock) -> None:
    async with played() as play:
        told = json.loads((await play.export("?table=points"))[2])
        assert list(told) == ["sessionId", "exportedAt", "points"]


async def test_all_tables_in_one_csv_file(autojump_clock: MockClock) -> None:
    async with played() as play:
        _, headers, text = await play.export("?format=csv")
        assert headers["content-disposition"] == 'attachment; filename="session-s1.csv"'
        rows, tables = cells(text), await play.tables()
        assert {name: sum(row["table"] == name for row in rows) for name in TABLES} == {
            name: len(tables[name]) for name in TABLES
        }


async def test_a_session_in_which_nothing_happened_has_empty_tables(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, _ = await set_up.request("POST", "/api/sessions", "olga", {"id": "s1"})
        assert status == 201
        await settle()
        status, told = await set_up.request("GET", ROUTE, "olga")
        assert (status, [told[name] for name in TABLES]) == (200, [[]] * len(TABLES))


@pytest.mark.parametrize(
    ("path", "who", "status", "text"),
    [
        (ROUTE, "", 401, "Authentication failed"),
        (ROUTE, "wrong", 401, "Authentication failed"),
        (ROUTE, "anna", 403, "You do not have permission"),
        (ROUTE, "mo", 403, "You do not have permission"),
        ("/api/sessions/nowhere/export", "anna", 403, "You do not have permission"),
        ("/api/sessions/nowhere/export", "olga", 404, "Session not found"),
        (f"{ROUTE}?format=xlsx", "olga", 400, "format must be one of json, csv"),
        (f"{ROUTE}?table=secrets", "olga", 400, f"table must be one of {', '.join(TABLES)}"),
        (f"{ROUTE}?all=true", "olga", 400, "'all' is not a field here; allowed: format, table"),
    ],
)
async def test_whoever_may_not_or_asks_wrongly_is_told_why(
    path: str, who: str, status: int, text: str, autojump_clock: MockClock
) -> None:
    async with played() as play:
        got, told = await play.set_up.request("GET", path, who)
        assert (got, told["success"]) == (status, False)
        assert told["error"]["message"] == text


async def test_a_guest_gets_no_export_even_of_their_session(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        _, made = await set_up.request("POST", "/api/sessions", "olga", {"id": "s1"})
        await settle()
        _, guest = await set_up.request("POST", f"/api/sessions/{made['slug']}/join")
        status, told = await set_up.request("GET", ROUTE, guest["token"])
        assert (status, told["error"]["message"]) == (403, "You do not have permission")


async def test_what_happens_while_somebody_reads_is_not_in_it(autojump_clock: MockClock) -> None:
    """A slow reader holds up nobody, and reads of one moment."""
    async with played() as play:
        exports = play.set_up.exports
        state = await exports.fold("s1")
        before = {name: list(table.rows) for feature in state.features for name, table in feature.export(0).items()}
        await play.do("chat.message.send", {"text": "Later"}, play.anna)
        after = {name: list(table.rows) for feature in state.features for name, table in feature.export(0).items()}
        assert before == after
        assert "Later" in str((await play.tables())["messages"])


async def test_only_a_few_exports_are_made_at_once(autojump_clock: MockClock) -> None:
    async with played() as play:
        exports = play.set_up.exports
        places = [exports.begin() for _ in range(EXPORTS_AT_ONCE_MAX)]
        status, headers, text = await play.export()
        assert (status, headers["retry-after"]) == (429, "5")
        told = json.loads(text)["error"]["message"]
        assert told == f"At most {EXPORTS_AT_ONCE_MAX} exports are made at once, please try again later"
        exports.end(places[0])
        for _ in range(EXPORTS_AT_ONCE_MAX + 1):
            assert (await play.export())[0] == 200  # each gives its place back


async def test_a_place_that_was_never_given_back_is_free_after_the_timeout(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        for _ in range(EXPORTS_AT_ONCE_MAX):
            set_up.exports.begin()
        await trio.sleep(EXPORT_TIMEOUT_S - 1)
        with pytest.raises(Refused):
            set_up.exports.begin()
        await trio.sleep(1)
        set_up.exports.begin()


async def test_a_place_is_given_back_when_the_log_cannot_be_read(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fold(self: Exports, session_id: str) -> Any:
        raise Refused("The server is unavailable", 503, code="unavailable")

    async with played() as play:
        monkeypatch.setattr(Exports, "fold", fold)
        for _ in range(EXPORTS_AT_ONCE_MAX + 1):
            assert (await play.export())[0] == 503


async def test_a_reader_that_goes_gives_its_place_back() -> None:
    ended: list[bool] = []
    end: Callable[[], None] = lambda: ended.append(True)  # noqa: E731 - a name for its type
    sent = _sent(iter([b"a", b"b"]), end)
    assert await anext(sent) == b"a"
    assert not ended
    await sent.aclose()  # type: ignore[attr-defined]  # an async generator, as Quart closes it
    assert ended == [True]


async def test_the_document_tells_of_the_route(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        _, document = await set_up.request("GET", "/api/openapi.json")
        told = document["paths"]["/api/sessions/{sessionId}/export"]["get"]
        assert told["x-permissions"] == ["sessions:manage"]
        described = {one["name"]: one["schema"] for one in told["parameters"]}
        assert described["format"]["enum"] == ["json", "csv"]
        assert described["table"]["enum"] == TABLES
        assert set(told["responses"]["200"]["content"]) == {"application/json", "text/csv"}
