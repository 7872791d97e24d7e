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


def pytest_terminal_summary(terminalreporter):
    """What test_browser.py moved, a line for each widget and theme."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [line for report in reports for name, line in report.user_properties if name == "widget"]
    if lines:
        terminalreporter.section("controls moved by keyboard in JupyterLab, each of which changed its picture")
        terminalreporter.write_line("\n".join(sorted(lines)))
