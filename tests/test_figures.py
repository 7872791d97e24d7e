"""The diagrams: drawn anew they are the committed files, and their numbers are those of the network."""

import math
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from programs import program
from torch import nn

import elsface_lite as ef
from elsface_lite.data.images import read_image

FOLDER = ROOT / "figures"
SVG = "{http://www.w3.org/2000/svg}"
NAMES = ("overview", "style_encoder", "cnn_stream", "rstb", "hfeb", "unsharp_mask", "sharp_loss")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A folder in which every diagram was drawn anew."""
    folder = tmp_path_factory.mktemp("figures")
    for path in FOLDER.glob("*.py"):
        shutil.copy(path, folder)
    subprocess.run([sys.executable, folder / "all.py"], check=True)
    return folder


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[int, ...]]:
    """Shape without the batch axis of what the paper's network takes in, traces, and passes between its modules."""
    config = ef.ELSFaceConfig.paper()
    model, lr = ef.ELSFace(config).eval(), torch.zeros(1, 3, 32, 32)
    found = {"input": tuple(lr.shape[1:])}

    def watch(name: str):
        def hook(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            # Windows of one image are the batch axis of attention, and belong to its shape.
            skip = 0 if name.endswith("attention") else 1
            found[f"module:{name}"] = tuple(output.shape[skip:])
            found[f"input:{name}"] = tuple(inputs[0].shape[1:])

        return hook

    for name, module in model.named_modules():
        module.register_forward_hook(watch(name))
    with torch.no_grad():
        trace = model.trace(lr)
    found |= {f"trace:{name}": tuple(tensor.shape[1:]) for name, tensor in trace.items()}
    head = trace["head"].shape
    found["input:prepare.split"] = (head[1], config.grid * head[2], config.grid * head[3])
    return found | {f"field:{n}": receptive_field(n) for n in (1, 2)}


def receptive_field(recursions: int) -> tuple[int, int]:
    """Rows and columns that reach the middle of the CNN stream's output, by gradient; positive weights hide nothing."""
    stream = ef.CNNStream(2, recursions=recursions).double()
    for parameter in stream.parameters():
        nn.init.constant_(parameter, 0.01)
    x = torch.ones(1, 2, 65, 65, dtype=torch.float64, requires_grad=True)
    stream(x)[0, 0, 32, 32].backward()
    seen = x.grad[0, 0] != 0
    return int(seen.any(1).sum()), int(seen.any(0).sum())


def root(name: str) -> ET.Element:
    return ET.parse(FOLDER / f"{name}.svg").getroot()


@pytest.mark.slow
def test_the_list_of_figures_is_complete(drawn):
    for folder in (drawn, FOLDER):
        assert sorted(path.stem for path in folder.glob("*.svg")) == sorted(NAMES)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+)\.svg\)", readme)) == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_drawn_anew_it_is_the_committed_file(drawn, name):
    committed = (FOLDER / f"{name}.svg").read_bytes()
    # A checkout under Windows may have turned the line ends.
    assert (drawn / f"{name}.svg").read_bytes() == committed.replace(b"\r\n", b"\n")
    assert len(committed) < 40_000


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_those_of_the_network(shapes, name):
    marked = [element for element in root(name).iter(f"{SVG}text") if "data-of" in element.attrib]
    assert len(marked) >= {"unsharp_mask": 0, "sharp_loss": 1}.get(name, 4)
    for element in marked:
        drawn = tuple(map(int, element.text.split("×")))
        tensor = shapes[element.attrib["data-of"]]
        assert drawn == tensor, f"{element.attrib['data-of']} is {tensor}, but the figure says {element.text}"


@pytest.mark.parametrize("name", NAMES)
def test_anyone_can_read_it(name):
    svg = root(name)
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    assert svg.find(f"{SVG}title").text
    assert len(svg.find(f"{SVG}desc").text) > 100
    page = svg.find(f"{SVG}rect")
    assert (float(page.attrib["width"]), float(page.attrib["height"])) == (width, height) == (800, height)
    assert page.attrib["fill"] == "#FFFFFF"
    sizes = [float(e.attrib["font-size"]) for e in svg.iter() if "font-size" in e.attrib]
    assert min(sizes) >= 12
    families = {e.attrib["font-family"].split(", ")[-1] for e in svg.iter() if "font-family" in e.attrib}
    assert families <= {"sans-serif", "serif"}
    assert all(e.attrib.get("href") is None for e in svg.iter()), "a figure must not load anything"


def test_the_transfer_function_of_the_sharp_loss_is_drawn_from_its_kernel():
    """The curve's last point, at 0.1 cycles per pixel, lies where the sharpening of a cosine of that frequency says."""
    kernel = ef.SharpLoss().kernel.tolist()
    middle = len(kernel) // 2
    passed = sum(k * math.cos(0.2 * math.pi * (i - middle)) for i, k in enumerate(kernel))
    y = 50 + 150 * (1.6 - (1.5 - 0.5 * passed)) / 0.7
    last = [e.attrib["d"] for e in root("sharp_loss").iter(f"{SVG}path") if e.attrib.get("stroke-width") == "2"][-1]
    assert float(last.split()[-1]) == pytest.approx(y, abs=0.06)


@pytest.mark.slow
def test_the_portrait_is_what_the_weights_make_of_it():
    """Up to what WebP loses: the README shows no other network's work, and no other face."""
    portrait = program("figures/portrait.py")
    if portrait.WEIGHTS not in ef.pretrained_names():
        pytest.skip(f"{portrait.WEIGHTS} is not shipped yet")
    shown = portrait.versions(portrait.WEIGHTS)
    for name, drawn in {**shown, "README": portrait.picture(**shown)}.items():
        committed = read_image(FOLDER / "portrait" / f"{name}.webp")
        psnr = ef.psnr(ef.as_image(drawn)[None], committed[None]).item()
        assert psnr > 35, f"{name}.webp: {psnr:.1f} dB from what figures/portrait.py draws"


def test_pictures_of_the_readme_are_small():
    for path in (FOLDER / "widget.webp", *(FOLDER / "portrait").glob("*.webp")):
        assert path.stat().st_size < 500_000, path.name
