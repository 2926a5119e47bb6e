"""Asks bring time, ids and seeds; people hold permissions."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from livehub.ask import Ask, Person, iso, user


def test_ids_are_uuids_of_version_4_and_all_different() -> None:
    ids = [Ask(None, seed=seed).new_id(n) for seed in (0, 1, 2**128 - 1) for n in range(100)]
    assert {UUID(made).version for made in ids} == {4}
    assert len(set(ids)) == len(ids)


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**33))
def test_an_id_is_made_of_seed_and_number(seed: int, n: int) -> None:
    number = (seed + n * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128
    assert Ask(None, seed=seed).new_id(n) == str(UUID(int=number, version=4))


def test_the_same_ask_draws_the_same() -> None:
    one, two = Ask(None, seed=7), Ask(None, seed=7)
    assert one.new_id(3) == two.new_id(3)
    assert [one.dice().random() for _ in range(3)] == [two.dice().random() for _ in range(3)]
    assert one.dice().random() != Ask(None, seed=8).dice().random()


def test_times_are_utc_with_milliseconds() -> None:
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert iso(1_795_257_230_007) == "2026-11-21T10:33:50.007Z"
    assert Ask(None, at_ms=999).now == "1970-01-01T00:00:00.999Z"


def test_a_star_is_every_permission() -> None:
    assert Person("a", permissions=frozenset({"x:y"})).can("x:y")
    assert not Person("a", permissions=frozenset({"x:y"})).can("x:z")
    assert Person("a", permissions=frozenset({"*"})).can("anything")


def test_what_anybody_may_know_of_a_person_has_no_address() -> None:
    person = Person("a", "Ada", "Lovelace", email="ada@example.org", org="o")
    assert person.public() == {"id": "a", "firstName": "Ada", "lastName": "Lovelace"}


def test_a_persons_audience_is_theirs_alone() -> None:
    assert user("ada") == "user:ada"
