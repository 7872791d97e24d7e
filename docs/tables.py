"""Writes the measured tables into the pages, as Markdown that GitHub shows as well: `python docs/tables.py`.

A table follows a line such as `<!-- table: goals.csv -->`, which names a file beside the page. What is the same in all
of its rows, such as the machine, becomes a line below it.
"""

import csv
import re
from pathlib import Path

from elsface_lite.files import whole_file

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "benchmarks/README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("gallery", "minutes", "photographs")),
]
TABLE = re.compile(r"^<!-- table: (\S+) -->\n(?:.+\n)*(?:\n\*In every row.*\n)?", re.MULTILINE)


def markdown(path: Path) -> str:
    """A CSV file as a Markdown table."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    same = {name: value for name, value in rows[0].items() if all(row[name] == value for row in rows) and len(rows) > 1}
    names = [name for name in rows[0] if name not in same]
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows)]
    table = "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)
    common = "; ".join(f"{name} {value}" for name, value in same.items())
    return f"{table}\n*In every row: {common}.*\n" if common else table


def written(page: Path) -> str:
    """The text of a page with its tables as the files have them now."""
    text = page.read_text(encoding="utf-8")
    return TABLE.sub(lambda found: f"<!-- table: {found[1]} -->\n{markdown(page.parent / found[1])}", text)


def main() -> None:
    for page in PAGES:
        text = written(page)
        with whole_file(page) as beside:
            beside.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
