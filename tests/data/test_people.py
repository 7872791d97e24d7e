"""Who is on which picture: tables as spreadsheets write them, and a folder for every person."""

from pathlib import Path

import pytest
from conftest import shared

from elsface_lite.data.people import people_by_folder, people_of
from elsface_lite.data.sources import faces_in
from elsface_lite.errors import ElsfaceError

PATHS = [Path("x/b.jpg"), Path("a.jpg")]


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    table = folder / "people.csv"
    table.write_text(text, encoding=encoding)
    return table


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", ", "])
def test_tables_of_spreadsheets_are_read(tmp_path, encoding, delimiter):
    rows = [["file", "identity"], ["a.jpg", "Ann"], ["b.jpg", "Bö"]]
    table = write(tmp_path, "\r\n".join(map(delimiter.join, rows)), encoding)
    assert people_of(PATHS, table) == ["Bö", "Ann"]


def test_columns_may_stand_in_any_order_beside_others(tmp_path):
    table = write(tmp_path, 'age;identity;file\n3;"Ann; the first";a.jpg\n4;Bo;b.jpg\n')
    assert people_of(PATHS, table) == ["Bo", "Ann; the first"]


def test_the_columns_that_were_found_are_named(tmp_path):
    with pytest.raises(ElsfaceError, match="needs the columns file,identity: it has name;person"):
        people_of(PATHS, write(tmp_path, "name;person\na.jpg;Ann\n"))
    with pytest.raises(ElsfaceError, match="it has none"):
        people_of(PATHS, write(tmp_path, ""))


def test_a_picture_without_a_row_is_named(tmp_path):
    table = write(tmp_path, "file,identity\na.jpg,Ann\nc.jpg,\n")
    for path in ("c.jpg", "d.jpg"):
        with pytest.raises(ElsfaceError, match=rf"people\.csv has no row for {path}"):
            people_of(["a.jpg", path], table)


def test_a_table_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(ElsfaceError, match=r"gone\.csv: No such file"):
        people_of(PATHS, tmp_path / "gone.csv")
    with pytest.raises(ElsfaceError, match="save it as CSV in UTF-8"):
        people_of(PATHS, write(tmp_path, "file,identity\na.jpg,Bö\n", "latin-1"))


@pytest.mark.parametrize("names", [("p1/1.png", "p2/1.png"), ("p1/1", "p2/1"), (r"p1\\1.png", "./p2/1.png")])
def test_pictures_of_one_name_are_told_apart_by_their_folder(tmp_path, names):
    table = write(tmp_path, f"file,identity\n{names[0]},Ann\n{names[1]},Bo\n")
    paths = [tmp_path / "faces" / place for place in ("p2/1.png", "p1/1.png")]
    assert people_of(paths, table) == people_of(paths, table, tmp_path / "faces") == ["Bo", "Ann"]


def test_one_row_does_not_name_two_pictures(tmp_path):
    table = write(tmp_path, "file,identity\n1.png,Ann\n")
    with pytest.raises(ElsfaceError, match=r"p2/1\.png is not the only 1\.png, .*p1/1\.png"):
        people_of(["p1/1.png", "p2/1.png"], table)
    with pytest.raises(ElsfaceError, match=r"names 1\.png twice, as Ann and Bo"):
        people_of(["1.png"], write(tmp_path, "file,identity\n1.png,Ann\n1.png,Bo\n"))


def test_only_the_path_below_the_folder_counts(tmp_path):
    table = write(tmp_path, "file,identity\nfaces/1.png,Ann\n1.png,Bo\n")
    assert people_of(["faces/1.png"], table) == ["Ann"]
    assert people_of(["faces/1.png"], table, "faces") == ["Bo"]
    with pytest.raises(ElsfaceError, match="does not lie in other"):
        people_of(["faces/1.png"], table, "other")


def test_a_folder_for_every_person():
    paths = [Path("faces/p1/1.png"), Path("faces/p2/deep/1.png"), Path("faces/p1/2.png")]
    assert people_by_folder(paths, "faces") == ["p1", "p2", "p1"]
    with pytest.raises(ElsfaceError, match=r"faces/a\.png lies in no person's folder"):
        people_by_folder([*paths, Path("faces/a.png")], "faces")
    with pytest.raises(ElsfaceError, match="does not lie in"):
        people_by_folder(paths, "elsewhere")


@pytest.mark.parametrize("name", ["ok", "bom", "semicolon", "noext", "space", "utf16"])
def test_tables_that_strangers_made(name):
    """Table by table, those of the reports that were tried on this project."""
    paths = faces_in(shared("cases/train/flat"))
    people = people_of(paths, shared(f"cases/train/people_{name}.csv"))
    assert people == [path.name.partition("_")[0] for path in paths]


def test_a_strangers_folders_by_person():
    folder = shared("cases/train/nested")
    paths = faces_in(folder)
    expected = [path.parent.name for path in paths]
    assert people_of(paths, shared("cases/train/nested_people.csv")) == expected
    assert people_of(paths, shared("cases/train/nested_people.csv"), folder) == expected
    assert people_by_folder(paths, folder) == expected
