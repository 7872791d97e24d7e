"""The chapters as files: their cells, and which files of the module each builds."""

import json
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


# Which files of the module a chapter builds, every definition of them. The others import only.
BUILT = {
    "01": {"data.degradation", "data.pairs", "course.frequency"},
    "02": {"network.style"},
    "03": {"network.cnn"},
    "04": {"network.transformer", "network.hfeb"},
    "05": {"training.losses"},
    "06": {"network.elsface", "training.schedule", "training.average"},
    "07": {"metrics.image", "metrics.sets"},
    "09": {"course.wavelet", "training.adversarial"},
    "10": {"data.blind"},
}
# Of these files a chapter shows only what carries its story, and says that the rest is imported finished.
EXCERPTS = {"network.elsface": {"ELSFace._run"}}


chapters = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@cache
def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])
