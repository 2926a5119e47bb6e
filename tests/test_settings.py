"""The declarations themselves."""

from __future__ import annotations

import attrs
import pytest

from livehub.config import fields, sections
from livehub.features import discover
from livehub.settings import DEVELOPMENT_SECRET, ROLES, SECRET_BYTES_MIN, SECTIONS, AuthSection, Settings

ALL = [
    pytest.param(field, id=f"{name}.{field.name}")
    for name, section in sections(discover()).items()
    for field, _ in fields(section)
]


@pytest.mark.parametrize("field", ALL)
def test_every_setting_says_what_it_is_for(field: attrs.Attribute[object]) -> None:
    assert len(field.metadata["help"]) > 10


def test_sections_are_the_fields_of_settings() -> None:
    assert [*SECTIONS, "features", "source"] == [field.name for field in attrs.fields(Settings)]


def test_settings_can_be_made_without_a_file_and_never_changed() -> None:
    settings = Settings()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        settings.server.port = 1  # type: ignore[misc]  # that it cannot be assigned is the point
    assert settings.engine.ping_interval_ms == 25_000


def test_the_secret_is_never_in_a_repr() -> None:
    assert "hush" not in repr(Settings(auth=AuthSection(secret="hush")))


def test_the_development_secret_is_long_enough_to_be_used() -> None:
    assert len(DEVELOPMENT_SECRET.encode()) >= SECRET_BYTES_MIN


def test_moderators_and_speakers_can_do_what_members_can() -> None:
    assert set(ROLES["MEMBER"]) < set(ROLES["MODERATOR"])
    assert set(ROLES["MEMBER"]) < set(ROLES["SPEAKER"])


def test_only_owners_can_do_everything() -> None:
    assert [role for role, permissions in ROLES.items() if "*" in permissions] == ["OWNER"]
