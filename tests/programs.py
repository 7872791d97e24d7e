"""Programs of the repository that are no part of the package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from conftest import ROOT


def program(path: str) -> ModuleType:
    """A program of the repository as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
