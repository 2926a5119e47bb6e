"""Style is a test: floors, sizes, mirrors, and nothing left lying about.

The floors are the architecture: a module imports from floors below its own, so that what is underneath can be read,
tested and moved without what stands on it.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import livehub
from livehub.features import discover
from livehub.metrics import CLOSES, REFUSALS

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "livehub").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LOAD = sorted((ROOT / "loadtest").rglob("*.py"))
EVERYTHING = [path for path in (*SOURCES, *TESTS, *LOAD) if "node_modules" not in path.parts]

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

FLOORS = {
    "__init__": 0, "errors": 0, "lean": 0, "wire": 0,
    "payload": 1, "ask": 1, "declared": 1, "feature": 1, "ballots": 1, "pollforms": 1, "pollbook": 1, "ports": 1,
    "settings": 1, "exporting": 1, "questionbook": 1,
    "features": 2, "rooms": 2,
    "stores": 3, "bus": 3, "auth": 3, "guests": 3, "keyfiles": 3, "metrics": 3, "logs": 3, "supervisor": 3,
    "contracts": 4, "transports": 4, "http": 4,
    "values": 5, "config": 5, "reference": 5, "check": 5, "testing": 5, "exportfiles": 5,
    "app": 6, "cli": 6, "__main__": 6,
}  # fmt: skip
"""Modules and packages directly in livehub/. A new one gets its floor here, or is part of one that has."""

BESIDE = {
    "feature": {"ask", "declared", "exporting", "payload"}, "declared": {"ask", "payload"},
    "ballots": {"payload"}, "pollforms": {"ballots", "payload"}, "pollbook": {"ask", "ballots", "exporting"},
    "questionbook": {"exporting"},
    "settings": {"payload"},
    "auth": {"keyfiles"}, "guests": {"auth"},
    "http": {"contracts"},
    "config": {"values"}, "reference": {"config", "values"},
    "cli": {"app"}, "__main__": {"cli"},
}  # fmt: skip
"""Imports within a floor. Apart from these, what stands beside is not known."""

OUTSIDE = {
    "__init__": "", "errors": "", "lean": "", "wire": "orjson",
    "payload": "attrs", "declared": "", "ballots": "", "pollforms": "", "pollbook": "", "ask": "", "feature": "",
    "exporting": "", "questionbook": "", "ports": "", "settings": "attrs",
    "features": "", "rooms": "trio orjson attrs cattrs",
    "stores": "trio orjson apsw", "auth": "attrs jwt orjson", "guests": "jwt orjson",
    "keyfiles": "cryptography jwt orjson",
    "metrics": "trio prometheus_client", "logs": "structlog", "supervisor": "trio",
}  # fmt: skip
"""What else the lower floors may import: the core depends on Trio and on no server, database or framework."""

WIRE_NEVER = {"asyncio", "datetime", "os", "random", "select", "selectors", "socket", "ssl", "threading", "time"}
"""The wire is told the time and given bytes."""

FEATURE_HELPERS = {
    "livehub.feature", "livehub.ballots", "livehub.pollbook", "livehub.pollforms", "livehub.questionbook",
}  # fmt: skip
"""What of livehub features may import: their contract, and what is too much for one file; no sibling."""

FEATURE_MODULES = {
    "__future__", "abc", "bisect", "collections", "copy", "dataclasses", "decimal", "enum", "fractions", "functools",
    "hashlib", "heapq", "itertools", "json", "math", "operator", "re", "statistics", "string", "types", "typing",
    "unicodedata", "urllib.parse",
}  # fmt: skip
"""What features may import from the standard library: no clock, no randomness, no files."""

UNMIRRORED = {"livehub/ports.py", "livehub/contracts/socket.py"}
"""Protocols and records: the suites of those who implement them are their tests."""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def package(path: Path) -> str:
    """The module or package directly in livehub/ that a file is, or is part of."""
    return path.relative_to(ROOT / "livehub").parts[0].removesuffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever in it, for types only or not."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the floor"
            if node.module == "livehub":
                yield from (f"livehub.{alias.name}" for alias in node.names)
            elif node.module:
                yield node.module


def part_of_livehub(module: str) -> str:
    """`livehub.rooms.house` → `rooms`; names in `livehub` itself, such as its version, are `__init__`."""
    first = module.split(".")[1] if "." in module else "__init__"
    return first if first in FLOORS else "__init__"


def comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


each_source = pytest.mark.parametrize("path", SOURCES, ids=name)
each_file = pytest.mark.parametrize("path", EVERYTHING, ids=name)


@each_source
def test_every_module_has_a_floor(path: Path) -> None:
    assert package(path) in FLOORS, "give it a floor in FLOORS"


@each_source
def test_modules_import_downward_only(path: Path) -> None:
    mine = package(path)
    for module in imports(path):
        if module.split(".")[0] != "livehub":
            continue
        theirs = part_of_livehub(module)
        lower = FLOORS[theirs] < FLOORS[mine]
        assert lower or theirs == mine or theirs in BESIDE.get(mine, ()), f"{name(path)} imports {module}"


@each_source
def test_lower_floors_depend_on_little_else(path: Path) -> None:
    if package(path) not in OUTSIDE:
        return
    here = {"livehub", *OUTSIDE[package(path)].split(), *sys.stdlib_module_names}
    for module in imports(path):
        assert module.split(".")[0] in here, f"{name(path)} imports {module}"


def test_rooms_do_not_know_the_features() -> None:
    for path in (path for path in SOURCES if package(path) == "rooms"):
        assert not [module for module in imports(path) if module.startswith("livehub.features")], name(path)


def test_the_wire_is_sans_io() -> None:
    for path in (path for path in SOURCES if package(path) == "wire"):
        assert not WIRE_NEVER & {module.split(".")[0] for module in imports(path)}, name(path)


def test_features_are_plain_functions_of_what_they_are_given() -> None:
    for path in (ROOT / "livehub" / "features").glob("[a-z]*.py"):
        for module in imports(path):
            allowed = module in FEATURE_HELPERS or module in FEATURE_MODULES or module.split(".")[0] in FEATURE_MODULES
            assert allowed, f"{name(path)} imports {module}"
        for called, node in calls(path):
            assert called not in ("open", "input", "exec", "eval"), f"{name(path)}:{node.lineno}"


@each_file
def test_every_module_says_what_it_is_for(path: Path) -> None:
    if path.read_text().strip():
        assert ast.get_docstring(tree(path)), f"{name(path)} opens without a docstring"


@each_source
def test_every_module_has_its_tests(path: Path) -> None:
    if path.name.startswith("__") or name(path) in UNMIRRORED:
        return
    inside = path.relative_to(ROOT / "livehub")
    assert (ROOT / "tests" / inside.with_name(f"test_{inside.name}")).is_file()


@each_source
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX, "is it really one thing?"


@pytest.mark.parametrize("path", [*SOURCES, *LOAD], ids=name)
def test_functions_are_small(path: Path) -> None:
    for function in functions(path):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        assert lines <= FUNCTION_LINES_MAX, f"{name(path)}:{function.lineno}: {function.name} has {lines} lines"


@each_source
def test_only_the_command_line_prints(path: Path) -> None:
    if package(path) not in ("cli", "testing"):
        assert not [node.lineno for called, node in calls(path) if called == "print"]


@each_file
def test_what_is_silenced_says_why(path: Path) -> None:
    for line, comment in comments(path):
        if "noqa" in comment:
            assert re.search(r"noqa: [A-Z]+\d+ +(?:- |# )[`\w].{4,}", comment), f"{name(path)}:{line}: {comment}"
        if "type: ignore" in comment:
            assert re.search(r"type: ignore\[[\w, -]+\]\s+# \w.{8,}", comment), f"{name(path)}:{line}: {comment}"


@each_file
def test_nothing_is_put_off(path: Path) -> None:
    later = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")))
    for line, comment in comments(path):
        assert not later.search(comment), f"{name(path)}:{line}: {comment}"


@each_file
def test_nothing_is_left_out(path: Path) -> None:
    """No placeholders, no tests that do not run."""
    for node in ast.walk(tree(path)):
        assert not (isinstance(node, ast.Name) and node.id == "NotImplemented" + "Error"), f"{name(path)}:{node.lineno}"
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("pytest."):
            assert node.attr not in ("skip", "skipif", "xfail", "importorskip"), f"{name(path)}:{node.lineno}"


@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=name)
def test_tests_do_not_sleep_for_luck(path: Path) -> None:
    assert not [node.lineno for called, node in calls(path) if called == "time.sleep"]


def test_reasons_have_a_series_of_their_own() -> None:
    """Codes outside the features are counted by name; a feature's own count as "other" until they are listed."""
    for path in (path for path in SOURCES if package(path) != "features"):
        for called, node in calls(path):
            last = called.rsplit(".", 1)[-1]
            told = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            if last in ("AuthFailed", "CannotRecover", "refused"):
                told += node.args[:1]
            known: tuple[str, ...] = REFUSALS
            if last in ("abort", "close", "ended", "SessionOver"):
                told, known = node.args[:1], CLOSES
            for value in told:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    assert value.value in known, f"{name(path)}:{node.lineno}: {value.value} is not in metrics.py"


def test_every_command_is_explained() -> None:
    from livehub.cli import cli  # it imports everybody: a fault there must not hide the rest of this file

    for feature in discover():
        for command in feature.commands():
            assert command.doc, f"{command.name} has no docstring"
    readme = (ROOT / "README.md").read_text()
    for word, command_line in cli.commands.items():
        assert command_line.help, word
        assert f"livehub {word}" in readme, f"README.md does not mention livehub {word}"


def test_the_changelog_tells_of_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text or f"## [{livehub.__version__}]" in text
