"""`config/livehub.toml` shows every setting, with the default it really has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from livehub.config import load, sections
from livehub.feature import Feature, payload, setting
from livehub.features import discover
from livehub.reference import render, toml
from livehub.settings import SECTIONS, Settings

FILE = Path(__file__).parents[1] / "config" / "livehub.toml"


def uncommented(text: str) -> str:
    return re.sub(r"^#(?=[a-z])", "", text, flags=re.MULTILINE)


def test_the_file_is_what_the_settings_declare() -> None:
    """A new feature needs no edit here: its section may be missing, but a section that is shown must be right."""
    shown = set(re.findall(r"^\[(\w+)\]", FILE.read_text(), re.MULTILINE))
    assert shown >= set(SECTIONS)
    expected = render(feature for feature in discover() if feature.name in shown)
    assert FILE.read_text() == expected, "stale: run `make fmt`"


def test_each_default_shown_is_the_real_one(tmp_path: Path) -> None:
    """Taking away every # changes nothing, but for the secret that has no default."""
    path = tmp_path / "all.toml"
    path.write_text(uncommented(render(discover())))
    environ = {"LIVEHUB_AUTH__SECRET": "s" * 32}
    settings = load(path, environ=environ)
    features = {feature.name: feature.Settings() for feature in discover() if feature.Settings}
    auth = attrs.evolve(settings.auth, secret="")
    assert attrs.evolve(settings, auth=auth, source=None) == Settings(features=features)


def test_every_setting_is_shown() -> None:
    found = tomllib.loads(uncommented(render(discover())))
    for name, kind in sections(discover()).items():
        assert set(found[name]) == {field.name for field in attrs.fields(kind)}


def test_unit_purpose_and_bounds_stand_above_a_setting() -> None:
    @payload
    class LampSettings:
        """`[lamp]`"""

        burns_s: int = setting(5, unit="seconds", least=1, most=9, help="how long the lamp burns")

    class Lamp(Feature):
        name = "lamp"
        Settings = LampSettings

    assert render([Lamp]).endswith(
        "\n[lamp]\n# How long the lamp burns. A whole number from 1 to 9 (seconds).\n#burns_s = 5\n"
    )


@pytest.mark.parametrize(
    "value", [1, 2.5, True, 'a "quoted" ü\n', [1, 2], ["a"], {"a": ["b"], "c": []}, {}, [], "", "\\d"]
)
def test_values_are_written_as_toml_reads_them(value: Any) -> None:
    assert tomllib.loads(f"value = {toml(value)}") == {"value": value}


def test_an_unset_path_is_empty_text() -> None:
    assert toml(None) == '""'
    assert toml(Path("/a/b")) == '"/a/b"'
