"""Each mark keeps what it allows, refuses what it does not with a text that says what is allowed, and tells itself."""

from __future__ import annotations

import re
from typing import Annotated, Any, get_args

import attrs
import pytest

from livehub.payload import (
    FIELDS_DEPTH_MAX,
    MOMENT_EXAMPLE,
    Emoji,
    Empty,
    Fields,
    Invalid,
    Items,
    Mark,
    Moment,
    OutsideId,
    Rate,
    Text,
    Url,
    Uuid,
    Whole,
    payload,
    setting,
    whole_unicode,
)

UUID = "0b2f3c4d-5e6f-4a1b-8c2d-3e4f5a6b7c8d"


def mark(kind: Any) -> Mark:
    found = get_args(kind)[1]
    assert isinstance(found, Mark)
    return found


@pytest.mark.parametrize("value", ["x", "x" * 5, " x ", "a\nb", "<b>", "é" * 5, "👩‍🚀12"])
def test_text_is_kept_exactly_as_sent(value: str) -> None:
    assert Text(5).check(value) == value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "must not be empty"),
        (" \n\t", "must not be empty"),
        ("\u2003\u00a0", "must not be empty"),
        ("x" * 6, "must be at most 5 characters, not 6"),
        ("😀" * 6, "must be at most 5 characters, not 6"),
        ("a\ud83d", "must be valid Unicode, without half of a surrogate pair"),
    ],
)
def test_text_says_what_is_wrong_with_it(value: str, told: str) -> None:
    with pytest.raises(Invalid, match=f"^{told}$"):
        Text(5).check(value)


def test_an_outside_id_is_kept() -> None:
    for value in ("a", "x" * 128, "sess_abc-1.2:3", "0"):
        assert mark(OutsideId).check(value) == value


@pytest.mark.parametrize("value", ["", "x" * 129, "a b", "é", "a/b", "a\n", "\n"])
def test_an_outside_id_has_one_alphabet(value: str) -> None:
    with pytest.raises(Invalid, match=r"^must be 1 to 128 characters of A-Z a-z 0-9 _ \. : -$"):
        mark(OutsideId).check(value)


def test_a_uuid_is_compared_in_lower_case() -> None:
    assert mark(Uuid).check(UUID.upper()) == UUID


@pytest.mark.parametrize(
    "value",
    [
        "",
        "msg_abc",
        UUID + "0",
        UUID[:-1],
        UUID + "\n",
        UUID.replace("-4a", "-1a"),
        UUID.replace("-8c", "-7c"),
        f"{{{UUID}}}",
    ],
)
def test_only_version_4_is_a_uuid(value: str) -> None:
    with pytest.raises(Invalid, match=r"^must be a UUID v4$"):
        mark(Uuid).check(value)


@pytest.mark.parametrize("value", ["👍", "❤️", "👨‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "é"])
def test_an_emoji_has_up_to_eight_code_points(value: str) -> None:
    assert mark(Emoji).check(value) == value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "must be an emoji of 1 to 8 characters"),
        ("👍" * 9, "must be an emoji of 1 to 8 characters"),
        ("\u2003", "must be an emoji of 1 to 8 characters"),
        (":+1:", "must be an emoji, not plain text"),
        ("\ud83d", "must be valid Unicode, without half of a surrogate pair"),
    ],
)
def test_plain_text_is_no_emoji(value: str, told: str) -> None:
    with pytest.raises(Invalid, match=f"^{told}$"):
        mark(Emoji).check(value)


@pytest.mark.parametrize(("value", "fits"), [(0, False), (1, True), (200, True), (201, False)])
def test_a_whole_number_has_both_ends(value: int, fits: bool) -> None:
    if fits:
        assert Whole(1, 200).check(value) == value
    else:
        with pytest.raises(Invalid, match=r"^must be from 1 to 200$"):
            Whole(1, 200).check(value)


@pytest.mark.parametrize(("count", "fits"), [(1, False), (2, True), (3, True), (4, False)])
def test_a_list_has_both_ends(count: int, fits: bool) -> None:
    if fits:
        assert Items(2, 3).check([0] * count) == [0] * count
    else:
        with pytest.raises(Invalid, match=f"^must have 2 to 3 items, not {count}$"):
            Items(2, 3).check([0] * count)


def test_marks_tell_what_they_allow() -> None:
    assert str(Text(5)) == "1 to 5 characters, not only white space"
    assert str(Whole(1, 2)) == "1 to 2"
    assert str(Items(2, 3)) == "2 to 3 items"
    assert str(mark(Uuid)) == "UUID v4"
    assert str(mark(OutsideId)).endswith("1 to 128 of A-Z a-z 0-9 _ . : -")
    assert str(mark(Emoji)).endswith("1 to 8 characters, not plain ASCII")


def test_half_a_character_is_refused() -> None:
    assert whole_unicode("😀") == "😀"
    with pytest.raises(Invalid):
        whole_unicode("\ude00")


def test_a_rate_is_read_as_it_is_written() -> None:
    assert Rate.parse("5/10s") == Rate(5, 10.0)
    assert Rate.parse("5/s") == Rate(5, 1.0)
    assert str(Rate(5, 10.0)) == "5 in 10 s"


@pytest.mark.parametrize("text", ["", "5", "5/", "5/10", "5/10m", "/s", "-1/s", "5/s "])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a rate is written 5/10s"):
        Rate.parse(text)


def test_a_payload_is_frozen() -> None:
    @payload
    class Sent:
        text: Annotated[str, Text(5)]

    sent = Sent("x")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        sent.text = "y"  # type: ignore[misc]  # that it cannot be set is what is tested
    assert sent == Sent("x")
    assert Empty() == Empty()


def test_settings_do_not_share_their_defaults() -> None:
    @payload
    class Section:
        words: list[str] = setting(["a"], help="words", unit="words", least=0, most=9)

    one, other = Section(), Section()
    one.words.append("b")
    assert other.words == ["a"]
    kind: Any = Section
    assert attrs.fields_dict(kind)["words"].metadata["help"] == "words"


@pytest.mark.parametrize(
    "url",
    [
        "https://livehub.test",
        "http://x",
        "HTTPS://Livehub.Test:8443/a/b?c=d#e",
        "https://例え.テスト/道",
        "https://[::1]/",
    ],
)
def test_a_url_is_kept_as_it_was_sent(url: str) -> None:
    assert Url(100).check(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "//livehub.test/a",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://livehub.test",
        "https://",
        "https:///a",
        "https://anna:secret@livehub.test",
        "https://livehub.test/a b",
        " https://livehub.test",
        "https://livehub.test\n",
        "https://livehub.test\\@evil.test",
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="must be an http or https URL"):
        Url(100).check(url)


def test_a_url_has_a_length() -> None:
    url = "https://livehub.test/" + "x" * 79
    assert Url(100).check(url) == url
    with pytest.raises(Invalid, match="must be at most 100 characters, not 101"):
        Url(100).check(url + "x")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2026-05-01T09:30:00Z", "2026-05-01T09:30:00.000Z"),
        ("2026-05-01T09:30:00.123456+02:00", "2026-05-01T07:30:00.123Z"),
        ("2026-05-01T09:30-11:30", "2026-05-01T21:00:00.000Z"),
    ],
)
def test_a_moment_is_kept_as_utc(text: str, kept: str) -> None:
    moment: Mark = get_args(Moment)[1]
    assert moment.check(text) == kept
    assert moment.check(kept) == kept


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2026-05-01", "2026-05-01T09:30:00", "2026-13-01T00:00:00Z", "1969-01-01T00:00Z"]
)
def test_a_time_without_its_offset_is_refused(text: str) -> None:
    moment: Mark = get_args(Moment)[1]
    with pytest.raises(Invalid, match="must be a time such as"):
        moment.check(text)


def test_free_fields_are_bounded() -> None:
    deep: dict[str, Any] = {}
    for _ in range(FIELDS_DEPTH_MAX - 1):
        deep = {"x": [deep]} if len(str(deep)) % 2 else {"x": deep}
    for value in ({}, {"load": 0.5, "ok": [True, None, "é"]}, {"x": "y" * 92}):
        assert Fields(100).check(value) == value
    with pytest.raises(Invalid, match="must be at most 100 bytes of JSON, not 101"):
        Fields(100).check({"x": "y" * 92 + "z"})
    with pytest.raises(Invalid, match="must be nested at most 20 deep"):
        Fields(1_000_000).check({"x": deep, "y": {"z": {"a": deep}}})
    nested: list[Any] = []
    for _ in range(5_000):
        nested = [nested]
    with pytest.raises(Invalid, match="must be nested"):
        Fields(1_000_000).check({"x": nested})
    with pytest.raises(Invalid, match="valid Unicode"):
        Fields(100).check({"x": "\ud83d"})


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (Annotated[str, Text(5)], {"minLength": 1, "maxLength": 5, "pattern": r"\S"}),
        (Annotated[int, Whole(1, 2)], {"minimum": 1, "maximum": 2}),
        (Annotated[list[int], Items(2, 3)], {"minItems": 2, "maxItems": 3}),
        (Annotated[str, Url(40)], {"format": "uri", "maxLength": 40, "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"}),
        (Annotated[dict[str, Any], Fields(9)], {"x-max-bytes": 9}),
        (OutsideId, {"pattern": "^[A-Za-z0-9_.:-]{1,128}$"}),
        (Emoji, {"minLength": 1, "maxLength": 8, "pattern": r"[^\x00-\x7f]"}),
        (Moment, {"format": "date-time", "examples": [MOMENT_EXAMPLE]}),
    ],
)
def test_marks_tell_machines_what_they_allow(kind: Any, schema: dict[str, Any]) -> None:
    assert mark(kind).schema() == schema


def test_the_schema_of_a_uuid_has_its_pattern() -> None:
    schema = mark(Uuid).schema()
    assert schema["format"] == "uuid"
    assert re.search(schema["pattern"], UUID)
    assert not re.search(schema["pattern"], UUID.replace("-4a", "-1a"))


def test_the_example_of_a_moment_is_one() -> None:
    mark(Moment).check(MOMENT_EXAMPLE)
