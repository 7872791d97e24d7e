"""The site's home, made of what the README and the chapters hold when the site is built."""

import base64
import json
import re
from collections.abc import Iterator
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from PIL import Image, ImageChops, ImageOps, ImageStat
from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
ROW = re.compile(
    r"^\| \[(\d\d) (.+?)\]\((.+?)\.ipynb\) \| (.+?) \| (.+?) \| (\d+) \| \[Colab\]\((.+?)\) \|$", re.MULTILINE
)
CARD = (480, 240)  # of a chapter's picture, pixels
# Which output with pictures tells most of a chapter, by words of its alt text; of the others it is the first.
TELLING = {
    "01": "spectrum: without a taper",
    "03": "heat maps",
    "04": "bright where the token",
    "05": "The gradient of the Sharp Loss",
    "06": "at the constant rate",
    "07": "The plane of distortion",
    "08": "A table with bars",
    "09": "Hopper's eyes",
    "10": "The wall; each of six faces",
}
MISSING = """<!doctype html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="icon" href="../_static/icon.svg">
<title>Not built yet · elsface-lite</title>
<p>This site was built without the page that restores in the browser: <code>make web</code> adds it.
<a href="../docs/web.html">What it is</a> · <a href="../index.html">Home</a></p>
"""


class Chapter(NamedTuple):
    """A row of the README's table, without its picture."""

    number: str
    title: str
    page: str
    build: str
    see: str
    minutes: str
    colab: str


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The home as Sphinx collects it: its name, what its template is given, and the template."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    chapters = [Chapter(*row) for row in ROW.findall(readme)]
    folder = Path(app.outdir) / "_images" / "home"
    folder.mkdir(parents=True, exist_ok=True)
    alts = {}
    for chapter in chapters:
        picture, alts[chapter.number] = thumbnail(ROOT / f"{chapter.page}.ipynb")
        picture.save(folder / f"{chapter.number}.webp", quality=85)
    page = Path(app.outdir) / "web" / "index.html"
    if not page.exists():  # `make web` writes over it
        page.parent.mkdir(exist_ok=True)
        page.write_text(MISSING, encoding="utf-8")
    yield (
        "index",
        {
            "title": "Home",
            "chapters": chapters,
            "alts": alts,
            "hours": round(sum(int(chapter.minutes) for chapter in chapters) / 60),
            "network": MarkdownIt().render(section(readme, "The network").replace("](figures/", "](_images/")),
            "findings": MarkdownIt().render(findings(section(readme, "What was found out"))),
            "handle": (ROOT / "elsface_lite/course/widgets/before_after.js").read_text(encoding="utf-8"),
        },
        "home.html",
    )


def section(readme: str, title: str) -> str:
    """The text below a heading."""
    (text,) = re.findall(rf"^## {title}\n(.*?)^## ", readme, re.DOTALL | re.MULTILINE)
    return str(text.strip())


def findings(text: str) -> str:
    """What was found out: of the verdict a line for each question, and its conclusion."""
    verdict, *others = text.split("\n\n")
    how, *answers, after = re.split(r"(?=\*[^*]+\?\*)", verdict.removeprefix("**The verdict.** "))
    last, *conclusion = re.split(r"\s(?=\(As good|So )", after, maxsplit=1)
    lines = "\n".join(f"- {' '.join(answer.split())}" for answer in (*answers, last))
    return "\n\n".join([how, lines, *conclusion, *others])


def thumbnail(path: Path) -> tuple[Image.Image, str]:
    """Pictures that a chapter shows, of several the two that differ most, as a card; and their alt text."""
    words = TELLING.get(path.name[:2], "")
    shown = next(found for found in outputs(path) if found and words in found[0][1])
    largest = max(picture.height for picture, _ in shown)
    pictures = [picture for picture, _ in shown if picture.height > largest / 2]  # an LR face is a stamp
    if len(pictures) == 1:
        card = ImageOps.pad(pictures[0], CARD, color="white")  # a figure, on white itself
    else:
        half = (CARD[0] // 2, CARD[1])
        pairs = combinations([ImageOps.fit(picture, half) for picture in pictures], 2)
        left, right = max(pairs, key=lambda pair: sum(ImageStat.Stat(ImageChops.difference(*pair)).mean))
        card = Image.new("RGB", CARD)
        card.paste(left, (0, 0))
        card.paste(right, (half[0], 0))
    return card, re.sub(r"^.*picture \d+ of \d+: ", "", shown[0][1])


def outputs(path: Path) -> Iterator[list[tuple[Image.Image, str]]]:
    """The pictures of each output of a chapter that has HTML, with their alt texts; those in SVG left out."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            page = BeautifulSoup("".join(output.get("data", {}).get("text/html", "")), "html.parser")
            images = [image for image in page.find_all("img") if not image["src"].startswith("data:image/svg")]
            yield [(opened(image["src"]), image["alt"]) for image in images]


def opened(source: str) -> Image.Image:
    """The picture of a data: address."""
    return Image.open(BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-collect-pages", pages)
    # The sidebar's and the header's name lead to it, and not to the first page of the contents.
    app.connect("html-page-context", lambda app, name, template, context, doctree: context.update(master_doc="index"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
