"""What an answer of the wrong kind gets from the check of an exercise: one line that helps, and no traceback."""

import re

import pytest
import torch
from chapters import chapters, code_cells, source, tags

from elsface_lite.course.exercises import expects


def broken(x):
    return x.no_such_thing


@expects("a picture (3, 2, 2)")
def check_value(answer):
    return bool((answer - torch.zeros(3, 2, 2)).abs().max() < 1)


@expects("a function that returns a number")
def check_function(function):
    return abs(function(2.0)) < 3


@pytest.mark.parametrize(
    ("check", "answer", "words"),
    [
        (check_value, "a text", "You gave str 'a text'; TypeError"),
        (check_value, [1], "You gave list [1]; TypeError"),
        (check_value, torch.zeros(5, 7), "You gave a tensor of shape (5, 7); RuntimeError"),
        (check_value, None, "You gave NoneType None; TypeError"),
        (check_value, broken, "You gave the function broken; TypeError"),
        (check_function, 7, "You gave int 7; TypeError"),
        (check_function, "a text", "You gave str 'a text'; TypeError"),
        (check_function, lambda: 1, "You gave the function <lambda>; TypeError"),
        (check_function, lambda x: "a text", "TypeError: bad operand type"),
        (check_function, broken, "no attribute 'no_such_thing' (in line {line} of its cell: return x.no_such_thing)"),
    ],
)
def test_a_wrong_kind_of_answer_gets_one_line(check, answer, words, capsys):
    assert check(answer) is False
    said, errors = capsys.readouterr()
    assert said.startswith("not yet: this takes a ") and said.count("\n") == 1 and not errors
    assert words.format(line=broken.__code__.co_firstlineno + 1) in said


def test_the_right_kind_is_left_to_the_check(capsys):
    assert check_value(torch.ones(3, 2, 2) / 2) is True and check_value(torch.ones(3, 2, 2)) is False
    assert check_function(abs) is True
    assert capsys.readouterr().out == ""


def test_an_interruption_is_no_wrong_answer():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_function(interrupted)


@chapters
def test_every_check_of_a_chapter_says_what_it_expects(path):
    for cell in code_cells(path):
        if "exercise-check" in tags(cell) and "def check_" in source(cell):
            defined = re.findall(r"^(.*)\ndef check_\d+", source(cell), re.MULTILINE)
            assert defined and all(line.startswith('@expects("') for line in defined), source(cell)[:80]
