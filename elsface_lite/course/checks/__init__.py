"""What is wrong with an answer, in words: one function for each task and exercise, one file a chapter.

They stand here and not in the chapters, so that no answer is in sight before the reader's own.
"""

from . import (
    chapter00,
    chapter01,
    chapter02,
    chapter03,
    chapter04,
    chapter05,
    chapter06,
    chapter07,
    chapter08,
    chapter09,
    chapter10,
    chapter11,
    checkpoint06,
    exercises06,
    exercises09,
    exercises10,
)

# By chapter, in the order in which it asks.
CHAPTERS = {
    "00": chapter00.CHECKS,
    "01": chapter01.CHECKS,
    "02": chapter02.CHECKS,
    "03": chapter03.CHECKS,
    "04": chapter04.CHECKS,
    "05": chapter05.CHECKS,
    "06": chapter06.CHECKS | checkpoint06.CHECKS | exercises06.CHECKS,
    "07": chapter07.CHECKS,
    "08": chapter08.CHECKS,
    "09": chapter09.CHECKS | exercises09.CHECKS,
    "10": chapter10.CHECKS | exercises10.CHECKS,
    "11": chapter11.CHECKS,
}
CHECKS = {name: check for checks in CHAPTERS.values() for name, check in checks.items()}
