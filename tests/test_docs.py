"""The pages of docs/ agree with chapters and module, and the site that is built of them is whole without a network."""

import csv
import importlib
import json
import re
import subprocess
import sys
from functools import cache
from itertools import combinations
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browsers import asked_of_others, assert_it_fits, assert_it_is_legible, chromium, served, watch
from bs4 import BeautifulSoup, Tag
from chapters import BUILT, NOTEBOOKS, cells, source, tags
from conftest import ROOT, project_files, uncounted
from programs import program

import elsface_lite
from elsface_lite.course.faces import portrait_faces
from elsface_lite.course.frequency import band_psnr, low_pass
from elsface_lite.course.widgets import attention_explorer

pytestmark = pytest.mark.no_cover  # most of the time HTML is parsed
DOCS = ROOT / "docs"
CHAPTERS = {path.stem[:2]: path for path in NOTEBOOKS}


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of every row of every Markdown table, heads and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    bodies = [line for line, after in zip(lines, [*lines[1:], ""], strict=True) if "---" not in line + after]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in bodies]


def words(cell: str) -> list[str]:
    """The words that one row explains: `MSE, PSNR` are two, and what a bracket adds is no part of a word."""
    return re.sub(r" \(.*?\)", "", cell).casefold().split(", ")


def words_of_chapter(path: Path) -> list[str]:
    """From the table below "Words of this chapter"."""
    (text,) = (source(cell) for cell in cells(path) if "### Words of this chapter" in source(cell))
    table = text.split("### Words of this chapter")[1].split("\n### ")[0]
    return [word for cell, *_ in rows(table) for word in words(cell)]


def chapter_of(cell: str) -> str:
    """The number of the chapter that a cell links to."""
    number, file = re.fullmatch(r"\[(\d\d)\]\(\.\./notebooks/(.*)\)", cell).groups()
    assert CHAPTERS[number].name == file, f"{cell} links to another chapter than it says"
    return number


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_glossary_has_every_word_of_the_chapter(path):
    """With a link to this chapter or an earlier one, which introduced it."""
    explained = {(word, chapter_of(link)) for cell, _, link in rows(page("glossary")) for word in words(cell)}
    found = words_of_chapter(path)
    assert found
    for word in found:
        assert any((word, number) in explained for number in CHAPTERS if number <= path.stem[:2]), word


def test_glossary_is_sorted_and_exact():
    entries = rows(page("glossary"))
    names = [cell for cell, *_ in entries]
    assert names == sorted(names, key=str.casefold)
    assert len(set(names)) == len(names) > 60
    for name, meaning, _ in entries:
        assert meaning[0].isupper() or meaning[0] == "$", name
        assert re.fullmatch(r"[^.]*(\d\.\d[^.]*)?\.", meaning), f"{name} is not explained in one sentence"


VERDICT_IN = ["02", "03", "04", "06", "08", "README"]  # and in the glossary, where it is edited


@pytest.mark.parametrize("number", VERDICT_IN)
def test_the_verdict_on_the_story_is_one(number):
    """In the same words wherever it is said."""
    (verdict,) = [part for part in page("glossary").split("\n\n") if part.startswith("**The verdict.**")]
    readme = ROOT / "README.md"
    said = readme.read_text("utf-8") if number == "README" else "\n\n".join(map(source, cells(CHAPTERS[number])))
    assert " ".join(verdict.split()) in " ".join(said.split())


def formulas(text: str) -> list[str]:
    """What stands between dollars."""
    return re.findall(r"\$(.+?)\$", text)


@pytest.mark.parametrize("number", CHAPTERS)
def test_notation_has_every_symbol_of_the_chapter(number):
    """Of those that its first cell lists, each in a row that names the chapter."""
    box = source(cells(CHAPTERS[number])[0]).split("Symbols of this chapter</summary>")[1]
    symbols = {symbol for entry in box.split(";") for symbol in formulas(entry.split(":")[0])}
    known = {
        symbol
        for cell, *_, where in rows(page("notation"))
        if number in where or where == "all"
        for symbol in formulas(cell)
    }
    assert symbols and symbols <= known, symbols - known


@pytest.mark.parametrize("number", CHAPTERS)
def test_notation_names_no_chapter_that_has_none_of_the_symbols(number):
    text = "\n".join(source(cell) for cell in cells(CHAPTERS[number]) if cell["cell_type"] == "markdown")
    written = " ".join(re.findall(r"\$\$?(.+?)\$\$?", text, re.DOTALL))
    for cell, *_, where in rows(page("notation")):
        symbols = [rf"(?<![a-zA-Z\\]){re.escape(symbol)}(?![a-zA-Z])" for symbol in formulas(cell)]
        assert number not in where or not symbols or any(re.search(symbol, written) for symbol in symbols), cell


def test_notation_explains_a_symbol_once():
    """Those of one paragraph are outside its tables; a word after a symbol tells two apart."""
    symbols = [symbol for cell, *_ in rows(page("notation")) for symbol in cell.split(", ") if symbol.startswith("$")]
    assert len(set(symbols)) == len(symbols) > 60, {symbol for symbol in symbols if symbols.count(symbol) > 1}


def test_paper_map_names_what_exists():
    """Every name of the column `ours`, in the file that the linked chapter builds."""
    found = rows(page("paper_to_code"))
    assert len(found) > 30
    for _, ours, link, *_ in found:
        chapter = chapter_of(link)
        names = re.findall(r"`([\w.]+)`", ours)
        assert names
        for name in names:
            room, file, *path = name.split(".")
            value = importlib.import_module(f"elsface_lite.{room}.{file}")
            for part in path:
                value = getattr(value, part)
            builders = {number for number, files in BUILT.items() if f"{room}.{file}" in files}
            assert not builders or chapter in builders, f"{name} is not built in chapter {chapter}"


def test_paper_map_has_every_file_that_a_chapter_builds():
    text = page("paper_to_code")
    files = set().union(*BUILT.values()) - {"course.frequency", "course.wavelet"}  # which serve no part of the paper
    assert all(f"`{file}." in text for file in files), [file for file in files if f"`{file}." not in text]


def test_troubleshooting_quotes_real_errors():
    """The words of each message, between what … stands for, occur in one message of the module."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "elsface_lite").rglob("*.py"))
    code = re.sub(r'"\n\s*f?"', "", code)  # a string that goes on in the next line
    _, errors = page("troubleshooting").split("## What the errors mean")
    messages = [message for message, _ in rows(errors)]
    assert len(messages) > 40
    for message in messages:
        for part in message.strip("`").split("…"):
            part = part.strip(" ()`")
            assert part in code, f"{message}: no error says {part!r}"


def test_gallery_shows_small_pictures_with_alt_text():
    pictures = re.findall(r"!\[(.*?)\]\((.*?)\)", page("gallery"))
    assert {file for _, file in pictures} == {f"gallery/{path.name}" for path in (DOCS / "gallery").iterdir()}
    assert all(len(alt) > 60 for alt, _ in pictures)
    assert sum((DOCS / file).stat().st_size for _, file in pictures) < 1_500_000


def test_gallery_says_what_was_measured():
    """What its text claims of the shipped weights: good on clean faces, worse than bicubic on spoilt ones."""
    with (DOCS / "gallery.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    gains = {row["face"]: float(row["PSNR restored"]) - float(row["PSNR bicubic"]) for row in reversed(table)}
    assert all(gains[row["face"]] > 1 for row in table if row["picture"] in ("orl", "people-lite-x4"))
    assert gains["noise, σ 0.1"] < 0 and gains["JPEG, quality 20"] < 0
    assert 0 < gains["a cat"] < gains["turned by 180°"] < gains["grace hopper"]


def test_tables_are_those_of_the_files():
    tables = program("docs/tables.py")
    texts = [ROOT / name for name in project_files() if name.endswith(".md")]
    assert not [path for path in texts if "{csv-table}" in path.read_text(encoding="utf-8")]
    for page in tables.PAGES:
        text = page.read_text(encoding="utf-8")
        assert "<!-- table: " in text and tables.written(page) == text, f"{page.name}: python docs/tables.py"


def test_a_table_is_written(tmp_path):
    """Once; what all rows share stands below, and what follows stays."""
    tables = program("docs/tables.py")
    (tmp_path / "t.csv").write_text("name,machine,value\na|b,here,1\nc,here,2\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- table: t.csv -->\n| old |\n\nafter\n", encoding="utf-8")
    for _ in range(2):
        page.write_text(tables.written(page), encoding="utf-8")
    table = "| name | value |\n| --- | --- |\n| a&#124;b | 1 |\n| c | 2 |\n\n*In every row: machine here.*\n"
    assert page.read_text(encoding="utf-8") == f"before\n\n<!-- table: t.csv -->\n{table}\nafter\n"


def test_minutes_are_of_chapters():
    with (DOCS / "minutes.csv").open(encoding="utf-8") as file:
        measured = {row["chapter"]: row for row in csv.DictReader(file)}
    titles = {source(cells(path)[0]).splitlines()[0].removeprefix("# ") for path in NOTEBOOKS}
    page = (DOCS / "minutes.md").read_text(encoding="utf-8")
    later = re.search(r"not\s+measured yet: ([\d, and]+)\.", page)
    missing = set(re.findall(r"\d\d", later.group(1))) if later else set()
    assert {title[:2] for title in titles - measured.keys()} == missing and measured.keys() <= titles, (
        "run `make minutes`"
    )
    for row in measured.values():
        assert float(row["processor seconds"]) > 0 and 200 < float(row["peak memory, MB"]) < 16_000
        assert row["machine"] and int(row["threads"]) > 0


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `make docs` does."""
    out = tmp_path_factory.mktemp("site")
    command = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-c", DOCS, ROOT, out]
    command = [sys.executable, *map(str, command)]
    built = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=uncounted())
    assert built.returncode == 0, built.stderr
    return out


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def places(path: Path) -> set[str]:
    """What a link can lead to within a page."""
    return {tag["id"] for tag in parsed(path).find_all(id=True)}


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def addresses(path: Path) -> list[tuple[Tag, str]]:
    """Whatever a page names: links, pictures, scripts, style sheets."""
    found = parsed(path).find_all(["a", "img", "script", "link", "source", "iframe"])
    return [(tag, tag[name]) for tag in found for name in ("href", "src", "srcset") if tag.has_attr(name)]


@pytest.mark.slow
def test_site_loads_nothing_from_elsewhere(site):
    """Links may lead away; pictures, scripts and style sheets are in the folder."""
    for path in pages(site):
        for tag, address in addresses(path):
            if tag.name != "a" and not address.startswith("data:"):
                assert not urlsplit(address).netloc, f"{path.name}: {str(tag)[:200]}"
    for sheet in [*site.rglob("*.css"), *site.rglob("*.js")]:
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"(?:url\(|@import |import\(|\.src ?= ?)[\"']?(?:https?:)?//", text), sheet.name


@pytest.mark.slow
def test_site_has_no_broken_link(site):
    checked = 0
    for path in pages(site):
        for _, address in addresses(path):
            parts = urlsplit(address)
            if parts.scheme or address == "#":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.name} links to {address}"
            if parts.fragment and target.suffix == ".html":
                assert unquote(parts.fragment) in places(target), f"{path.name}: no place {address}"
            checked += 1
    assert checked > 1000


@pytest.mark.slow
def test_widgets_play_without_a_kernel(site):
    """With the numbers of the widgets in the chapters: attention to what one token picks, and the bands of a cutoff."""
    face = portrait_faces()["astronaut"]
    explorer = attention_explorer(elsface_lite.load_pretrained("lite-x4"), {"astronaut": face})
    for name, value in {"row": 12, "column": 11, "head": 1}.items():
        explorer.controls[name].value = value
    with served(site) as address, chromium() as browser:
        tab = browser.new_page()
        tab.goto(f"{address}notebooks/{CHAPTERS['04'].stem}.html")
        tab.locator(".played select").select_option("1")
        box = tab.locator(".played [data-grid]").bounding_box()
        tab.locator(".played [data-grid]").click(
            position={"x": 11.5 / 32 * box["width"], "y": 12.5 / 32 * box["height"]}
        )
        where, said, alone = tab.locator(".played figcaption").all_inner_texts()
        assert "row 12, column 11, head 1" in where
        takes = float(re.search(r"takes from ([\d.]+) of 64 tokens", said)[1])
        assert takes == pytest.approx(explorer.values["effective"], abs=0.11)  # of weights in 8 bits
        for words, name in ((said, "weights"), (alone, "by_place")):
            ends = [float(share) for share in re.search(r"; ([\d.]+) to ([\d.]+) % each", words).groups()]
            found = explorer.values[name]
            assert ends == pytest.approx([100 * found.min().item(), 100 * found.max().item()], abs=0.05)
        assert tab.locator(".tag_widget .cell_output").count() == 1, "of the other widget, which does not play"
        tab.goto(f"{address}notebooks/{CHAPTERS['01'].stem}.html")
        tab.locator(".played input").fill("19")
        assert "low-pass at 0.20" in tab.locator(".played figcaption").all_inner_texts()
        edges = [0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]
        shown = tab.locator(".played tr").nth(1).locator("td").all_inner_texts()
        for value, text in zip(band_psnr(low_pass(face[None], 0.2), face[None], edges)[0].tolist(), shown, strict=True):
            assert text == ("> 60" if value > 60 else f"{value:.1f}")


@pytest.mark.slow
def test_site_pictures_have_alt_text(site):
    for path in pages(site):
        for image in parsed(path).find_all("img"):
            assert len(image.get("alt", "")) >= 20, f"{path.name}: {str(image)[:200]}"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_site_shows_the_chapter_as_it_was_committed(site, path):
    """Its outputs, its pictures, its solutions folded; nothing was executed, and no widget is a line of text."""
    shown = parsed(site / "notebooks" / f"{path.stem}.html").find("article")
    outputs = [output for cell in cells(path) for output in cell.get("outputs", [])]
    text = shown.get_text()
    printed = [line for output in outputs for line in "".join(output.get("text", "")).splitlines() if line.strip()]
    assert printed
    assert all(line.strip() in text for line in printed)
    drawn = sum("".join(output.get("data", {}).get("text/html", "")).count("<img") for output in outputs)
    assert len(shown.select(".cell_output img")) == drawn > 0
    solutions = [cell for cell in cells(path) if "solution" in tags(cell)]
    folded = shown.select("details:not([open])")
    assert len([fold for fold in folded if "Show the solution" in fold.get_text()]) == len(solutions)
    assert not re.search(r"VBox\(|HBox\(|<IPython", text)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_site_calls_folded_code_by_its_title(site, path):
    shown = parsed(site / "notebooks" / f"{path.stem}.html").find("article")
    folds = [fold.summary.get_text().split("\n") for fold in shown.select("details.hide")]
    titles = {source(cell).splitlines()[0].removeprefix("# @title ") for cell in cells(path) if source(cell)}
    titles = {title.replace("`", "") for title in titles}
    named = [words for fold in folds for words in fold if words.strip() in titles]
    assert len(named) > 2 and not [fold for fold in folds if "Show the code" in fold]
    assert not [words for fold in folds for words in fold if "`" in words]


@pytest.mark.slow
def test_compared_faces_fit_a_page_and_a_phone(site):
    """Four in a row, or two by two; a picture with a handle is as wide as a phone."""
    with served(site) as address, chromium() as browser:
        for width, columns in ((1366, 4), (390, 2)):
            tab = browser.new_page(viewport={"width": width, "height": 800})
            tab.goto(f"{address}notebooks/{CHAPTERS['00'].stem}.html")
            faces = tab.locator(".cell_output figure img").all()[:4]
            places = [face.bounding_box() for face in faces]
            assert len({round(place["y"]) for place in places}) == 4 / columns
            assert all(place["x"] + place["width"] <= width for place in places)
        assert tab.locator("before-after").bounding_box()["width"] > 300


@pytest.mark.slow
def test_charts_turn_dark_and_maps_do_not(site):
    """In a map of colours light and dark have a meaning, and a face is a face."""
    pictures = parsed(site / "notebooks" / f"{CHAPTERS['01'].stem}.html").select(".cell_output img")
    charts = [image["alt"] for image in pictures if "chart" in image.get("class", [])]
    assert any("radial profiles" in alt for alt in charts) and any("Bars" in alt for alt in charts)
    assert len(charts) < len(pictures) / 2 and not [alt for alt in charts if "spectrum" in alt or "Grace" in alt]
    with served(site) as address, chromium() as browser:
        for theme, looks in (("light", "none"), ("dark", "invert(0.92) hue-rotate(180deg)")):
            tab = browser.new_page(color_scheme=theme)
            tab.goto(f"{address}notebooks/{CHAPTERS['01'].stem}.html")
            chart = tab.locator("img.chart").first
            assert chart.evaluate("image => getComputedStyle(image).filter") == looks


@pytest.mark.slow
def test_what_is_wider_than_a_phone_says_so(site):
    """A row of the gallery's faces, and the network's diagram: large enough to be read, and scrolled by themselves."""
    with served(site) as address, chromium() as browser:
        tab = browser.new_page(viewport={"width": 390, "height": 800})
        for name, picture in (("docs/gallery", "phones-lite-x4-blind.webp"), ("index", "overview.svg")):
            tab.goto(f"{address}{name}.html")
            image = tab.locator(f"article p > img[src$='{picture}']").first
            assert image.bounding_box()["width"] > 600
            assert "swipe" in image.evaluate("image => getComputedStyle(image.parentElement, '::before').content")
            assert_it_fits(tab)


@pytest.mark.slow
def test_home_shows_what_tells_the_chapters_apart():
    """No two cards are alike."""
    home = program("docs/home.py")
    cards = {number: home.thumbnail(path)[0].resize((24, 12)).tobytes() for number, path in CHAPTERS.items()}
    assert home.TELLING.keys() < cards.keys()
    for one, other in combinations(cards, 2):
        apart = sum(abs(a - b) for a, b in zip(cards[one], cards[other], strict=True)) / len(cards[one])
        assert apart > 5, f"{one} and {other}: {apart:.0f} of 255"


OF_EACH_KIND = ["index", f"notebooks/{CHAPTERS['04'].stem}", "docs/networks", "docs/photographs"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [1366, 390])
def test_site_fits_is_legible_and_keeps_to_itself(site, width):
    """With all that can be unfolded. On a phone, where there is least room, no page is wider than it."""
    with served(site) as address, chromium() as browser:
        tab = browser.new_page(viewport={"width": width, "height": 800})
        watch(tab)
        for name in OF_EACH_KIND:
            tab.goto(f"{address}{name}.html")
            tab.evaluate("document.querySelectorAll('details').forEach((fold) => fold.open = true)")
            assert_it_fits(tab)
            assert_it_is_legible(tab)
        for path in pages(site) if width == 390 else []:
            tab.goto(f"{address}{path.relative_to(site).as_posix()}")
            assert_it_fits(tab)
        assert len(tab.asked) > 20 and not asked_of_others(tab, address)
        assert not tab.errors


@pytest.mark.slow
def test_site_mathematics_needs_no_script(site):
    formulas = [formula for path in pages(site) for formula in parsed(path).find_all("math")]
    assert len(formulas) > 300
    unknown = {formula.get_text() for formula in formulas if "\\" in formula.get_text()}
    assert not unknown, f"commands that latex2mathml does not know: {unknown}"


@pytest.mark.slow
def test_site_documents_every_public_name(site):
    api = parsed(site / "docs" / "api.html")
    assert not [name for name in elsface_lite.__all__ if not api.find(id=f"elsface_lite.{name}")]
    headings = {str(heading.contents[0]) for heading in parsed(site / "docs" / "files.html").find_all("h3")}
    files = {path.relative_to(ROOT / "elsface_lite") for path in (ROOT / "elsface_lite").rglob("[!_]*.py")}
    # Of the checks and the widgets, one file a chapter, those stand there that something else uses.
    files = {path.as_posix() for path in files if path.parent.name not in ("checks", "widgets")}
    assert files <= headings, f"not in docs/files.md: {files - headings}"


@pytest.mark.slow
def test_site_names_lead_to_the_reference(site):
    """The names of the map are links."""
    links = parsed(site / "docs" / "paper_to_code.html").select("article a[href*='files.html#elsface_lite.']")
    names = {name for _, ours, *_ in rows(page("paper_to_code")) for name in re.findall(r"`([\w.]+)`", ours)}
    assert names - {"restore.restore"} <= {link.get_text() for link in links}


@pytest.mark.slow
def test_site_can_be_searched(site):
    """The index loads as a script, so that it works without a server; it finds words of chapters, pages and names."""
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", text, re.DOTALL)[1])
    documents = index["docnames"]

    def found(word: str) -> list[str]:
        numbers = index["terms"][word]
        return [documents[number] for number in (numbers if isinstance(numbers, list) else [numbers])]

    assert "notebooks/01_faces_and_frequencies" in found("nyquist")
    assert "docs/glossary" in found("bootstrap")
    # Headings are found as well, and lead to their places.
    assert any(place for _, place in index["alltitles"]["Several GPUs, several machines"])
    assert {f"notebooks/{path.stem}" for path in NOTEBOOKS} <= set(documents)
    assert "SharpLoss" in {entry[-1] for entry in index["objects"]["elsface_lite.training.losses"]}


@pytest.mark.slow
def test_a_result_of_the_search_leads_to_the_section_and_quotes_prose(site):
    with served(site) as address, chromium() as browser:
        tab = browser.new_page()
        tab.goto(f"{address}search.html?q=nyquist")
        result = tab.locator("#search-results li", has_text="01 · Faces and frequencies")
        result.locator(".context").wait_for()
        assert "the Nyquist frequency" in result.inner_text()
        assert result.locator("a").inner_text().startswith("01 · Faces and frequencies > 1. ")
        result.locator("a").click()
        tab.wait_for_url("**/01_faces_and_frequencies.html#*")
        assert tab.locator("section:target > h2").is_visible()


@pytest.mark.slow
def test_home_shows_every_chapter_and_leads_there(site):
    """With a picture that is in the folder, its minutes, and the button of Colab."""
    home = parsed(site / "index.html").find(class_="home")
    cards = home.select(".chapters > li")
    assert [card.a["href"] for card in cards] == [f"notebooks/{path.stem}.html" for path in NOTEBOOKS]
    assert all((site / card.img["src"].partition("?")[0]).is_file() for card in cards)
    assert all("minutes" in card.get_text() and card.find("a", string="Colab") for card in cards)
    assert re.search(r"about \d+ hours", home.get_text())


@pytest.mark.slow
def test_home_has_a_face_under_a_handle_and_four_ways_on(site):
    page = parsed(site / "index.html")
    home, repository = page.find(class_="home"), "https://github.com/elsface-lite/elsface-lite"
    assert [image["slot"] for image in home.select("before-after img")] == ["before", "after"]
    (handle,) = page.select("script[type=module]")
    assert "customElements.define('before-after'" in handle.string and not handle.has_attr("src")
    ways = [link["href"] for link in home.select(".choices a")]
    assert ways[:2] == ["notebooks/00_start_here.html", "web/index.html"] and ways[3] == repository
    assert len(home.select("h2")) == 4 and "not divided" in home.get_text(), "what was found out, from the README"
    drawn = home.find("h2", string="The network").find_next("img")
    assert (site / drawn["src"]).is_file() and "HFEBs" in drawn["alt"], (
        "the words of the verdict, drawn and named first"
    )
    found = home.find("h2", string="What was found out").find_next("ul")
    assert [bool(line.em) for line in found.find_all("li")] == [True] * 3, "a line for each question of the verdict"
    assert "make web" in parsed(site / "web" / "index.html").get_text(), "what is missing is said"


@pytest.mark.slow
def test_every_page_leads_home_and_to_the_repository(site):
    for path in pages(site):
        page = parsed(path)
        if page.select_one(".sidebar-brand"):
            home = page.select_one(".sidebar-brand")["href"]
            assert home == "#" or (path.parent / home).resolve() == site / "index.html"
            assert page.select_one("footer .icons a")["href"].startswith("https://github.com/")
            assert "The elsface-lite authors" in page.select_one("footer .copyright").get_text()
            assert page.select_one("link[rel='shortcut icon']")
