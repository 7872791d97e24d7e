"""What a widget shows: pictures that are clicked, and comparisons with their handle."""

import html
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets
from torch import Tensor

from ..plots import COLORS
from .pictures import handle, img_html, webp

HERE = Path(__file__).parent
THUMBNAIL = 64  # pixels in the browser
# Of a slider whose track is long enough.
WIDE = {"layout": {"width": "44em", "max_width": "100%"}, "style": {"description_width": "9em"}}


class Picture(anywidget.AnyWidget):
    """HTML as of `ipywidgets.HTML`, in which comparisons have their handle and marked pictures can be clicked.

    A new value changes what differs and leaves the rest as it is: the handle stays where it was put, and the keyboard
    with what had it.

    Args:
        picked: called with what was clicked: `{"pick": number}` of an element with `data-pick`, or `{"row": row,
            "column": column}` of one with `data-grid`.

    Attributes:
        value: the HTML.
    """

    _esm = "\n".join(HERE.joinpath(name).read_text(encoding="utf-8") for name in ("before_after.js", "live.js"))
    # JupyterLab's own handles are white, and so is its page.
    _css = ".widget-vbox:has(.live-picture) .noUi-handle { border: 2px solid var(--jp-brand-color1, blue) !important; }"
    value = traitlets.Unicode().tag(sync=True)

    def __init__(self, picked: Callable[[dict[str, int]], None] | None = None, **traits: Any) -> None:
        super().__init__(**traits)
        if picked:
            self.on_msg(lambda _, content, buffers: picked(content))

    def __repr__(self) -> str:
        return "Picture()"  # and not an address, which would be in the chapters' outputs


class Panel(ipywidgets.VBox):
    """A widget: controls and a `picture`, which is all that is seen of it where a saved notebook is only read.

    That is on the site, on GitHub, and in a notebook that is opened untrusted. Where scripts run, a comparison has its
    handle there, too.
    """

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        still = self.picture.value
        script = handle() if "<before-after" in still else ""
        return super()._repr_mimebundle_(**options) | {"text/html": script + still}


def move(controls: Mapping[str, Any], place: Mapping[str, int]) -> None:
    """Gives controls the values that were picked, by name."""
    for name, value in place.items():
        controls[name].value = value


def chooser(menu: ipywidgets.Dropdown, faces: Mapping[str, Tensor]) -> Picture:
    """A menu as pictures: a click on one chooses it, and the chosen one is framed.

    Args:
        menu: whose options are the labels, not shown itself; it may get more of them later.
        faces: (3, h, w) for a label; a label without one is a word.
    """
    chooser = Picture(lambda asked: setattr(menu, "index", asked["pick"]))
    thumbnail = lru_cache(maxsize=64)(
        lambda label: img_html("webp", webp(faces[label]), "", label.replace("_", " "), THUMBNAIL)
    )

    def draw(change: object = None) -> None:
        labels = menu._options_labels
        shown = [thumbnail(label) if label in faces else html.escape(label) for label in labels]
        choices = "".join(_choice_html(i, i == menu.index, figure) for i, figure in enumerate(shown))
        style = "display:flex;flex-wrap:wrap;align-items:flex-start;gap:6px;margin:4px 0"
        group = f'role="radiogroup" aria-label="{menu.description}" style="{style}"'
        chooser.value = f'<div {group}><span style="min-width:4.5em">{menu.description}</span>{choices}</div>'

    menu.observe(draw, names=("index", "options"))
    draw()
    return chooser


def _choice_html(number: int, chosen: bool, figure: str) -> str:
    frame = COLORS["sr"] if chosen else "transparent"
    style = (
        f"border:3px solid {frame};border-radius:4px;padding:1px;font-size:12px;overflow-wrap:anywhere;max-width:70px"
    )
    return f'<div data-pick="{number}" aria-checked="{str(chosen).lower()}" style="{style}">{figure}</div>'
