"""Tasks, waits and handlers are declared on the class, and found again."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from loadtest.declare import Weighting, between, constant, constant_pacing, handlers_of, on, task, tasks_of


class Talker:
    random = Random(1)

    @task
    async def listen(self) -> None: ...

    @task(10)
    async def talk(self) -> None: ...

    @on("chat.message.new", "chat.message.edited")
    def heard(self, message: Any) -> None: ...


class Shouter(Talker):
    @task(3)
    async def talk(self) -> None: ...

    @on("poll.opened")
    async def opened(self, poll: Any) -> None: ...


def test_tasks_are_drawn_in_proportion_to_their_weight() -> None:
    drawn = Counter(tasks_of(Talker).draw(Talker.random) for _ in range(11_000))
    assert set(drawn) == {"listen", "talk"}
    assert 9_700 < drawn["talk"] < 10_300


def test_a_subclass_replaces_what_it_writes_anew_and_keeps_the_rest() -> None:
    assert sorted(tasks_of(Shouter).things) == ["listen", "talk"]
    drawn = Counter(tasks_of(Shouter).draw(Talker.random) for _ in range(4_000))
    assert 2_800 < drawn["talk"] < 3_200


def test_handlers_are_found_by_event() -> None:
    assert handlers_of(Shouter) == {
        "chat.message.new": ("heard",),
        "chat.message.edited": ("heard",),
        "poll.opened": ("opened",),
    }


def test_a_class_without_tasks_has_none() -> None:
    assert not tasks_of(object)
    assert not Weighting([])


def test_waits_are_what_they_say() -> None:
    talker = Talker()
    assert all(1 <= between(1, 5)(talker) <= 5 for _ in range(100))
    assert constant(2)(talker) == constant_pacing(2)(talker) == 2


def test_impossible_waits_and_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="between"):
        between(5, 1)
    with pytest.raises(ValueError, match="no time"):
        constant(-1)
    with pytest.raises(ValueError, match="whole number"):
        task(0)
