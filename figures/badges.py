"""Draws the README's badges, of what pyproject.toml and the tests hold: `python figures/badges.py`."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LETTER = 6.5  # the mean width of a letter of 11 pixels
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{whole:.0f}" height="20" role="img" aria-label="{name}: {value}">
<title>{name}: {value}</title>
<rect width="{whole:.0f}" height="20" rx="3" fill="{color}"/>
<path d="M3 0h{left:.0f}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#555"/>
<g fill="#fff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11" text-anchor="middle">
<text x="{name_at:.0f}" y="14">{name}</text>
<text x="{value_at:.0f}" y="14">{value}</text>
</g>
</svg>
"""


def badges() -> dict[str, tuple[str, str, str]]:
    """Name, value and colour of each, by its file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    oldest = project["project"]["requires-python"].removeprefix(">=")
    least = project["tool"]["coverage"]["report"]["fail_under"]
    return {
        "python": ("Python", f"{oldest} and newer", "#0067a3"),
        "licence": ("licence", project["project"]["license"], "#0067a3"),
        "tests": ("tests", f"≥ {least} % of all branches", "#00785c"),
        "gpu": ("GPU", "not needed", "#00785c"),
    }


def svg(name: str, value: str, color: str) -> str:
    """A badge: a name on grey, a value on colour."""
    name_width, value_width = LETTER * len(name), LETTER * len(value)
    places = {
        "left": name_width + 12,
        "whole": name_width + value_width + 27,
        "name_at": name_width / 2 + 8,
        "value_at": name_width + value_width / 2 + 21,
    }
    return SVG.format(name=name, value=value, color=color, **places)


def main(folder: Path = ROOT / "figures" / "badges") -> None:
    for file, badge in badges().items():
        (folder / f"{file}.svg").write_text(svg(*badge), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
