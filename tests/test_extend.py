"""The recipes of docs/extend.md, each run as it stands, in a folder that has what the page says."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from network.test_hub import hub  # noqa: F401 (a fixture)
from PIL import Image

from elsface_lite import downscale, portraits, read_image, write_png
from elsface_lite.metrics.networks import missing_metrics

pytest.importorskip("accelerate", reason='the recipes train: pip install "elsface-lite[train]"')
PAGE = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
RECIPES = {
    heading: code
    for heading, text in re.findall(r"^## \d+\. (.*?)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    for code in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
}


@pytest.fixture
def folder(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """faces/, validation/, lr/, hr/ and photos/, and here we are."""
    for name, files in (("faces", sorted(faces.iterdir())[:16]), ("validation", sorted(faces.iterdir())[16:20])):
        (tmp_path / name).mkdir()
        for file in files:
            shutil.copy(file, tmp_path / name)
    shutil.copytree(tmp_path / "faces", tmp_path / "hr")
    for file in (tmp_path / "hr").iterdir():
        write_png(downscale(read_image(file), 4), tmp_path / "lr" / file.name)
    (tmp_path / "photos").mkdir()
    for number in range(3):
        for name, photograph in portraits().items():
            write_png(photograph, tmp_path / "photos" / f"{name}{number}.png")
            picture = Image.open(tmp_path / "photos" / f"{name}{number}.png")
            picture.rotate(3 * number).save(tmp_path / "photos" / f"{name}{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_ten():
    assert len(RECIPES) == 10


@pytest.mark.slow
@pytest.mark.parametrize("heading", RECIPES)
def test_a_recipe_runs_as_it_stands(heading, folder, hub, monkeypatch):  # noqa: F811
    if "Lightning" in heading:
        pytest.importorskip("lightning", reason="Lightning is not installed: pip install lightning")
    if "LPIPS" in heading and (missing := missing_metrics(["lpips"])):
        pytest.skip(missing["lpips"])
    monkeypatch.setenv("HF_TOKEN", "right")
    exec(compile(RECIPES[heading], f"docs/extend.md: {heading}", "exec"), {"__name__": "recipe"})
