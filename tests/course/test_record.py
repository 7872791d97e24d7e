"""What a reader has solved and predicted stays, in one small file that is whole or not there."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from elsface_lite import course
from elsface_lite.course import record
from elsface_lite.course.checks import CHAPTERS
from elsface_lite.course.exercises import check, outcome, predict
from elsface_lite.course.frequency import radial_profile


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(record, "_kept", {})
    return tmp_path


def another_session(monkeypatch):
    monkeypatch.setattr(record, "_kept", {})


def test_what_is_solved_is_listed_in_a_later_session(monkeypatch, capsys):
    check("radial_profile", radial_profile)
    check("01.1", 0.5)
    another_session(monkeypatch)
    capsys.readouterr()
    course.progress()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CHAPTERS)
    assert "01  1 of 6" in lines[1] and "✓ radial_profile" in lines[1] and "○ 01.1" in lines[1]


def test_marks_have_colours_in_a_notebook(monkeypatch, capsys):
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel="here"))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    check("01.1", 0.5)
    check("01.1", 0.0625)
    wrong, right = capsys.readouterr().out.splitlines()
    assert wrong.startswith("\x1b[31m✗\x1b[0m 01.1: not yet. ") and right == "\x1b[32m✓\x1b[0m 01.1: right."


def test_a_prediction_stands_beside_the_outcome(monkeypatch, capsys):
    predict("how much is left?", ...)
    assert "no prediction yet" in capsys.readouterr().out
    outcome("how much is left?", "a half")
    assert capsys.readouterr().out == "You predicted: nothing. It is: a half.\n"
    predict("how much is left?", 0.9)
    another_session(monkeypatch)
    outcome("how much is left?", "a half")
    assert capsys.readouterr().out == "✓ kept: 0.9\nYou predicted: 0.9. It is: a half.\n"


def test_a_prediction_of_any_kind_is_kept(capsys):
    predict("a tensor", torch.tensor(3))
    check("radial_profile", radial_profile)  # and what comes after it
    assert record.recall("solved radial_profile")


def test_two_kernels_do_not_undo_each_other(monkeypatch):
    record.keep("solved a", True)
    another_session(monkeypatch)
    record.keep("solved b", True)
    assert set(json.loads(Path(record.FILE).read_text())) == {"solved a", "solved b"}


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch, capsys):
    monkeypatch.setattr(record, "FILE", "/proc/nowhere/progress.json")
    assert check("01.1", 0.0625) == 0.0625
    said = capsys.readouterr().out
    assert "✓ 01.1: right." in said and "for this session only" in said
    course.progress()
    assert "✓ 01.1" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "{", "[1]", "\xff"])
def test_a_spoilt_file_counts_as_none(a_folder_of_its_own, content):
    (a_folder_of_its_own / record.FILE).write_text(content, encoding="latin-1")
    course.progress()
    record.keep("solved a", True)
    assert json.loads((a_folder_of_its_own / record.FILE).read_text()) == {"solved a": True}


def test_a_killed_write_leaves_the_old_file(a_folder_of_its_own, monkeypatch):
    record.keep("solved a", True)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        record.keep("solved b", True)
    assert [path.name for path in a_folder_of_its_own.iterdir()] == [record.FILE]
    assert json.loads((a_folder_of_its_own / record.FILE).read_text()) == {"solved a": True}
