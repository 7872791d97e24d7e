"""Fixtures that several tests share. What lies beside the project in ../shared is used where it is present."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


def shared(path: str) -> Path:
    """A file of ../shared, or a skip that says what is missing."""
    if not (SHARED / path).exists():
        pytest.skip(f"../shared/{path} is not here")
    return SHARED / path
