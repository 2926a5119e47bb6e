"""The worked example in CONTRIBUTING.md is run as it stands there, so that it cannot rot."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from livehub.contracts.document import contract_text
from livehub.feature import Feature
from livehub.features import discover
from livehub.rooms.catalog import Catalog
from tests.features.laws import Trial

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FEATURE, TEST = "livehub/features/hands.py", "tests/features/test_hands.py"
LAW_SEEDS = range(20)
UNSORTED = "I001"
"""Ruff tells a module of this project from others by finding its file; the example's is not there."""


def blocks() -> dict[str, str]:
    """Path → source of each file that the page shows."""
    return dict(BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text()))


def load(path: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a file of the page under the name it would have."""
    file = folder / Path(path).name
    file.write_text(blocks()[path])
    spec = spec_from_file_location(path.removesuffix(".py").replace("/", "."), file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Feature]:
    """The feature of the page."""
    feature = load(FEATURE, tmp_path, monkeypatch).Hands
    assert isinstance(feature, type)
    assert issubclass(feature, Feature)
    return feature


def test_the_page_shows_a_feature_and_its_test() -> None:
    assert list(blocks()) == [FEATURE, TEST]


def test_the_example_keeps_the_laws_beside_all_other_features(hands: type[Feature]) -> None:
    reached = set()
    for seed in LAW_SEEDS:
        print(f"seed {seed}")
        trial = Trial([*discover(), hands], hands.room, seed)
        trial.run()
        reached |= {step.name for step, came in zip(trial.steps, trial.results, strict=True) if not came.refused}
    assert {command.name for command in hands.commands()} <= reached


def test_the_tests_of_the_example_pass(hands: type[Feature], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(TEST, tmp_path, monkeypatch)
    tests = [member for name, member in vars(module).items() if name.startswith("test_")]
    assert len(tests) >= 5
    for test in tests:
        test()


def test_the_contract_tells_of_the_example_without_being_told(hands: type[Feature]) -> None:
    text = contract_text(Catalog([*discover(), hands]), "/events")
    for event in ("hands.raise", "hands.lower", "hands.call_next", "hands.line", "hands.called"):
        assert f"\n{event}\n" in text
    assert "    waiting: list of {id: string, firstName: string, lastName: string}" in text


@pytest.mark.parametrize("path", [FEATURE, TEST])
@pytest.mark.parametrize("rule", [["check", "--ignore", UNSORTED], ["format", "--check"]], ids=lambda rule: rule[0])
def test_the_example_is_in_style(path: str, rule: list[str]) -> None:
    command = [sys.executable, "-m", "ruff", *rule, "--stdin-filename", str(ROOT / path), "-"]
    done = subprocess.run(command, input=blocks()[path], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
