"""What Sphinx is taught for this site: contents, mathematics without a script, links from names to the reference."""

import json
import re
from typing import Any

import latex2mathml.converter
from docutils import nodes
from home import opened
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

PAPER = 0.75  # of a picture that is a chart; a map of colours, whose light and dark have a meaning, has less
FIGURE = re.compile(r'<img (?=[^>]*src="(data:image/(?:webp|png);[^"]+))')
UNKNOWN_TO_CONVERTER = {r"\big\lVert": "‖", r"\big\rVert": "‖", r"\arg": r"\operatorname{arg}"}
CONTENTS = """
```{toctree}
:hidden:
:caption: Chapters
:glob:

notebooks/*
```

```{toctree}
:hidden:
:caption: Around the course

docs/glossary
docs/notation
docs/paper_to_code
docs/troubleshooting
docs/install
docs/minutes
docs/web
docs/gallery
```

```{toctree}
:hidden:
:caption: The module

docs/program
docs/photographs
docs/extend
docs/house
docs/api
docs/files
docs/networks
docs/reliability
benchmarks/README
elsface_lite/weights/lite-x4
elsface_lite/weights/lite-x4-gan
elsface_lite/weights/lite-x4-blind
elsface_lite/weights/lite-x4-blind-gan
elsface_lite/weights/lite-x8
```

```{toctree}
:hidden:
:caption: The project

The faces <data/README>
The diagrams <figures/README>
The portrait <figures/portrait/README>
CONTRIBUTING
SECURITY
CHANGELOG
```
"""


def jupyter_slug(title: str) -> str:
    """The anchor of a heading as JupyterLab makes it, which is what the chapters link to."""
    return title.replace(" ", "-")


def add_contents(app: Sphinx, name: str, text: list[str]) -> None:
    """Gives the README the table of contents, which GitHub would show as code."""
    if name == app.config.root_doc:
        text[0] += CONTENTS


def name_folds(app: Sphinx, name: str, text: list[str]) -> None:
    """Folded code is called by its title, as in JupyterLab, and not "Show the code" all along."""
    if not name.startswith("notebooks/"):
        return
    notebook = json.loads(text[0])
    for cell in notebook["cells"]:
        title = re.match(r"# @title (.+)", "".join(cell["source"]))
        prompts = cell["metadata"].get("mystnb", {})
        if title and prompts.get("code_prompt_show") == "Show the code":
            plain = title[1].replace("`", "")  # which a prompt would show
            prompts.update(code_prompt_show=plain, code_prompt_hide=plain)
    text[0] = json.dumps(notebook)


def mark_charts(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Calls a chapter's pictures charts where they are mostly paper; site.css makes it dark where the page is."""

    def marked(image: re.Match[str]) -> str:
        levels = opened(image[1]).convert("L").histogram()
        chart = sum(levels[250:]) > PAPER * sum(levels)
        return '<img class="chart" ' if chart else image[0]

    for raw in doctree.findall(nodes.raw) if name.startswith("notebooks/") else ():
        raw[:] = [nodes.Text(FIGURE.sub(marked, raw.astext()))]


def link_names(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Links names in the text, such as `style.modulate`, to the API reference."""
    documented = app.env.domains.python_domain.objects
    for literal in list(doctree.findall(nodes.literal)):
        found = documented.get(f"elsface_lite.{literal.astext().removeprefix('elsface_lite.').removesuffix('()')}")
        if found and found.objtype != "module" and not isinstance(literal.parent, nodes.reference):
            link = make_refnode(app.builder, name, found.docname, found.node_id, literal.deepcopy())
            literal.replace_self(link)


def plain_text(app: Sphinx, kind: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Keeps |x| and x * y in our docstrings, which are no reStructuredText, from being read as that."""
    for number, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [re.sub(r"([|*])", r"\\\1", part) for part in parts[::2]]
        lines[number] = "`".join(parts)


def skip_aliases(app: Sphinx, kind: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Leaves out what Python itself writes about the fields of a named tuple; our docstring describes them."""
    return True if (value.__doc__ or "").startswith("Alias for field number") else None


def mathml(node: nodes.math | nodes.math_block, display: str) -> str:
    latex = node.astext()
    for command, known in UNKNOWN_TO_CONVERTER.items():
        latex = latex.replace(command, known)
    return latex2mathml.converter.convert(latex, display=display)


def inline_math(page: Any, node: nodes.math) -> None:
    """Writes a formula as MathML, which browsers draw without a script."""
    page.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def display_math(page: Any, node: nodes.math_block) -> None:
    """Writes a formula on lines of its own; a wide one scrolls by itself."""
    page.body.append(f'<div class="formula">{mathml(node, "block")}</div>')
    raise nodes.SkipNode


def search_sections(app: Sphinx, name: str, template: str, context: Any, doctree: Any) -> None:
    """Gives the page of the search its script, which runs after Sphinx's own and before the search begins."""
    if name == "search":
        app.add_js_file("search.js", loading_method="defer")


def play_widgets(app: Sphinx, name: str, template: str, context: Any, doctree: Any) -> None:
    """Gives chapters 01 and 04 the script that shows a widget of theirs without a kernel."""
    if name.startswith(("notebooks/01", "notebooks/04")):
        app.add_js_file("played.js", type="module")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
    app.connect("source-read", add_contents)
    app.connect("source-read", name_folds)
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # before napoleon makes markup of it
    app.connect("autodoc-skip-member", skip_aliases)
    app.connect("doctree-resolved", link_names)
    app.connect("doctree-resolved", mark_charts)
    app.connect("html-page-context", play_widgets)
    app.connect("html-page-context", search_sections)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
