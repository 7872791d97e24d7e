"""Every relative link and picture of a text leads to a file that is there, and to a heading that it has."""

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import ROOT

FOLDERS = ("", "benchmarks", "data", "docs", "figures", "figures/portrait", "elsface_lite/weights", "notebooks")
TEXTS = sorted(path for folder in FOLDERS for kind in ("*.md", "*.ipynb") for path in (ROOT / folder).glob(kind))


@cache
def text_of(path: Path) -> str:
    """The Markdown of a file, or of all text cells of a notebook, without code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells)
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Of the headings: JupyterLab and our site keep a heading's letters as they are, GitHub does not."""
    headings = re.findall(r"^#+ (.*?)\s*$", text_of(path), re.MULTILINE)
    if path.suffix == ".ipynb":
        return {heading.replace(" ", "-") for heading in headings}
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    found = re.findall(r"\]\(<?([^)>\s]+)|(?:href|src)=\"([^\"]+)\"", text)
    return [a or b for a, b in found if not re.match(r"[a-z]+:", a or b)]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    for link in links(text_of(path)):
        file, _, heading = unquote(link).partition("#")
        target = (path.parent / file) if file else path
        assert target.exists(), f"{link} does not exist"
        assert ROOT in target.resolve().parents or target.resolve() == ROOT, f"{link} leads out of the repository"
        assert not heading or heading in anchors(target), f"{link}: {target.name} has no such heading"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pictures_have_words(path):
    for alt, target in re.findall(r"!\[(.*?)\]\(([^)]*)\)", text_of(path)):
        assert len(alt) > 20, f"{target}: alt text {alt!r}"
    for image in re.findall(r"<img[^>]*>", text_of(path)):
        assert re.search(r'alt="[^"]{20,}"', image), image


def test_what_is_read_as_a_link():
    text = '[a](b.md#c) ![d](<e.png>) [f](https://g) [h](#i) <img src="j.svg">'
    assert links(text) == ["b.md#c", "e.png", "#i", "j.svg"]
