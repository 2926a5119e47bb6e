"""Python files of somebody's own, given by their paths: scenarios and targets that no package has."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


class OwnFileTrouble(Exception):
    """The file is not there or cannot be imported; the text says why."""


def is_path(name: str) -> bool:
    """Whether a name on the command line means a file."""
    return name.endswith(".py") or "/" in name


def module_of(path: Path, name: str) -> ModuleType:
    """What the file defines, imported under this name; it may import what lies beside it. Raises `OwnFileTrouble`."""
    if not path.is_file():
        raise OwnFileTrouble(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise OwnFileTrouble(f"{path} is no .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _beside(path):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        text = (error.text or "").strip()
        raise OwnFileTrouble(f"{error.filename}:{error.lineno}: {error.msg}{text and f': {text}'}") from error
    except (Exception, SystemExit) as error:
        raise OwnFileTrouble(f"{path} cannot be imported: {error!r}") from error
    return module


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """The file's own directory comes first among those that modules are looked for in, as when Python runs a file."""
    place = str(path.resolve().parent)
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
