"""Values that are made for every ask."""

from __future__ import annotations

from dataclasses import field, replace

import pytest

from livehub.lean import lean


@lean
class Word:
    """As those of asks are: fields with and without a default."""

    text: str
    to: tuple[str, ...] = ()
    more: dict[str, int] = field(default_factory=dict, hash=False)


def test_it_is_made_compared_and_replaced_like_a_dataclass() -> None:
    word = Word("hello")
    assert word == Word("hello", (), {})
    assert word != Word("hello", ("anna",))
    assert replace(word, to=("anna",)) == Word("hello", ("anna",))
    assert repr(word) == "Word(text='hello', to=(), more={})"


def test_no_two_share_a_default_that_can_change() -> None:
    assert Word("a").more is not Word("b").more


def test_it_can_be_a_key() -> None:
    assert {Word("hello"): 1}[Word("hello")] == 1


def test_it_has_slots_and_no_setter_of_its_own() -> None:
    with pytest.raises(AttributeError):
        object.__setattr__(Word("hello"), "other", 1)
    assert Word.__setattr__ is object.__setattr__  # a frozen dataclass has one, which its `__init__` must go round
