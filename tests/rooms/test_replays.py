"""What was missed is shown as it was, and rendered once for all who missed it; what is somebody's own, for each."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest

from livehub.feature import JSON
from livehub.ports import Record
from livehub.rooms import replays as module
from livehub.rooms.fanout import NOBODYS, Fanout, Told
from livehub.rooms.replays import Replays
from tests.kit import Meter


class Voice:
    """Says everything but what is secret, and counts what it was asked to say."""

    def __init__(self) -> None:
        self.said: list[int] = []

    def fact(self, told: Told) -> bytes | None:
        self.said.append(told.data["n"])
        shown: Mapping[str, JSON] = {**told.data, "offset": told.offset, "to": told.audience}
        if told.own is not NOBODYS:
            shown = {**shown, "own": told.own}
        return None if told.data.get("secret") and told.audience != "staff" else orjson.dumps(shown)

    def event(self, told: Told) -> bytes | None:
        return None


def record(seq: int, audience: str = "hall", **data: JSON) -> Record:
    return Record(seq, "room", "fact", 0, orjson.dumps({"n": seq, **data}), audience)


def shown(replays: Replays, *records: Record, own: JSON = NOBODYS) -> list[JSON]:
    return [orjson.loads(frame.text) for frame in replays.render("/a", records, lambda _: own)]


@pytest.fixture
def voice() -> Voice:
    return Voice()


@pytest.fixture
def replays(voice: Voice) -> Replays:
    return Replays(Fanout({"/a": voice}, Meter(), epoch="e", flush_s=0.01))


def test_what_was_missed_comes_in_order_with_its_offset_and_without_what_is_not_shown(replays: Replays) -> None:
    missed = [record(1, "staff", secret=True), record(2, secret=True), record(4)]
    assert shown(replays, *missed) == [
        {"n": 1, "secret": True, "offset": "e-1", "to": "staff"},
        {"n": 4, "offset": "e-4", "to": "hall"},
    ]


def test_what_many_missed_is_rendered_once_for_each_audience(replays: Replays, voice: Voice) -> None:
    first = shown(replays, record(1), record(2, secret=True))
    assert shown(replays, record(1), record(2, secret=True)) == first
    assert voice.said == [1, 2]
    shown(replays, record(1, "staff"))
    assert voice.said == [1, 2, 1]


def test_what_is_somebodys_own_is_rendered_for_each(replays: Replays, voice: Voice) -> None:
    assert [shown(replays, record(1), own=own)[0]["own"] for own in ("ann", None)] == ["ann", None]
    assert voice.said == [1, 1]


def test_only_so_many_frames_are_kept(replays: Replays, voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRAMES_MAX", 2)
    for seq in (1, 2, 3, 2, 3, 1):
        shown(replays, record(seq))
    assert voice.said == [1, 2, 3, 1], "the oldest made room"
