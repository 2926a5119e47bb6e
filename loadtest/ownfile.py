"""Python files of somebody's own, given by their paths: scenarios and targets that no package has."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


class OwnFileTrouble(Exception):
    """The file is not there or cannot be imported; the text says why."""


def is_path(name: str) -> bool:
    """Whether a name on the command line means a file."""
    return name.endswith(".py") or "/" in name


def module_of(path: Path, name: str) -> ModuleType:
    """What the file defines, imported under this name. Raises `OwnFileTrouble`."""
    if not path.is_file():
        raise OwnFileTrouble(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise OwnFileTrouble(f"{path} is no .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise OwnFileTrouble(f"{path} cannot be imported: {error!r}") from error
    return module
