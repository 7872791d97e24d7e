"""The shapes in a docstring are those of what goes in and comes out: each is read there, and the code is run."""

import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import elsface_lite
from elsface_lite import ELSFaceConfig
from elsface_lite.inference.faces import Box

SHAPE = r"\([a-z0-9 ,^'/_.-]*\)"
SIZES = dict(
    b=2, c=3, h=24, w=40, channels=8, streams=2, grid=2, scale=4, factor=2, window=8, size=17, k=5, n=3, rows=6
)
SIZES |= dict(height=14, width=18, columns=9, s=2, heads=2, tokens=7, d=5)
NARROW = dict(channels=8, heads=2, window=8, mlp_ratio=2)
# What stands beside the tensors in a call; for a class, what it is built with.
CASES: dict[str, dict[str, Any]] = {
    "network.blocks.ResidualBlock": dict(channels=8),
    "network.cnn.CNNStream": dict(channels=8),
    "data.pairs.center_crop": dict(size=17),
    "data.degradation.Bicubic": dict(scale=4),
    "data.degradation.downscale": dict(scale=4),
    "data.degradation.resize": dict(height=14, width=18),
    "data.degradation.upscale": dict(scale=4),
    "inference.faces.crop_face": dict(box=Box(20, 12, 16), size=17),
    "inference.finder.resized": dict(factor=2),
    "course.frequency.band_energy": dict(edges=[0, 0.1, 0.2, 0.5]),
    "course.frequency.band_psnr": dict(edges=[0, 0.1, 0.2, 0.5]),
    "course.frequency.low_pass": dict(cutoff=0.1),
    "course.frequency.mirror": {},
    "course.frequency.power_spectrum": {},
    "course.frequency.spectrum": {},
    "network.hfeb.HFEB": dict(channels=8),
    "network.hfeb.HighPass": dict(channels=8),
    "training.losses.SharpLoss": dict(kernel_size=17),
    "training.losses.blur_matrix": dict(size=17),
    "training.losses.gaussian_blur": {},
    "training.losses.gaussian_kernel": dict(size=17),
    "training.losses.unsharp_mask": {},
    "metrics.image.luma": {},
    "metrics.image.mae": {},
    "metrics.image.psnr": {},
    "metrics.image.ssim": {},
    "metrics.image.window_means": {},
    "metrics.niqe.rounded_luma": {},
    "network.elsface.ELSFace": dict(config=ELSFaceConfig.lite(channels=8, heads=2, hfebs=1, hfeb_blocks=1)),
    "training.optim.orthogonalize": {},
    "network.style.FeaturePreparation": dict(channels=8, streams=2, head_blocks=1, grid=2, style="residual"),
    "network.style.LatentStyleEncoder": dict(channels=8),
    "network.style.modulate": {},
    "training.schedule.shifted": dict(down=3, right=-2),
    "network.transformer.RSTB": NARROW | dict(depth=2),
    "network.transformer.SwinLayer": NARROW | dict(shift=4),
    "network.transformer.TransformerStream": dict(channels=8, heads=2),
    "network.transformer.relative_position_index": dict(window=8),
    "network.transformer.shifted_window_mask": dict(height=24, width=40, window=8, shift=4),
    "network.transformer.to_windows": dict(window=8),
    "network.transformer.weighted_values": {},
}
# Files, several results, tables of tensors, or networks that other tests run.
LEFT_OUT = {
    "course.faces.made_up_people", "course.checks.exercises09.from_bands",
    "inference.export.OnnxModel", "inference.faces.cut_around", "data.images.read_image",
    "data.blind.Blind", "data.blind.gaussian", "training.adversarial.AdversarialLoss",
    "training.adversarial.Discriminator", "data.color.from_srgb", "data.color.to_srgb", "data.decode.deep_grey",
    "data.inputs.as_batch", "data.inputs.as_image",
    "metrics.networks.inception_network", "metrics.image.embed", "metrics.image.identity", "metrics.image.in_chunks",
    "metrics.sets.inception_features", "metrics.image.lpips", "metrics.niqe.niqe",
    "metrics.niqe.patch_features", "training.perceptual.LPIPSLoss",
    "inference.optimize.optimize",
    "inference.super_resolve.super_resolve", "inference.super_resolve.super_resolve_again",
    "training.trainer.Trainer", "training.schedule.batch_indices",
}  # fmt: skip


def factor(text: str) -> int:
    """A name or a number, perhaps with a number before it, and perhaps divided, lessened or raised: `2h`, `h/4`."""
    number, name, operator, second = re.fullmatch(r"(\d*)([a-z_]*)(?:([/^-])(\w+))?", text).groups()
    first = int(number or 1) * (SIZES[name] if name else 1)
    if operator is None:
        return first
    other = int(second) if second.isdigit() else SIZES[second]
    return {"/": first // other, "-": first - other, "^": first**other}[operator]


def dimensions(shape: str) -> tuple[int, ...]:
    """(b, 3, scale h, w - 10) -> (2, 3, 96, 30); ... stands for two dimensions."""
    texts = [re.sub(r" ?([/-]) ?", r"\1", text.strip()) for text in shape.strip("()").split(",") if text.strip()]
    groups = [(SIZES["b"], SIZES["c"]) if text == "..." else (math.prod(map(factor, text.split())),) for text in texts]
    return tuple(size for group in groups for size in group)


def described(value: Any) -> tuple[dict[str | int, str], str] | None:
    """The shapes that a docstring gives for what goes in, by name or by place, and the one for what comes out."""
    text = inspect.getdoc(value) or ""
    arrow = re.search(rf"({SHAPE})(?: and ({SHAPE}))?[^()>]*-> (?:({SHAPE})|scalar)", text)
    if arrow:
        *shapes, out = arrow.groups()
        return {place: shape for place, shape in enumerate(shapes) if shape}, out or "()"
    before, _, after = text.partition("Returns:\n")
    out = re.match(rf"\s+({SHAPE})", after)
    found = re.findall(rf"^    ([\w, ]+): ({SHAPE})", before, re.M)
    return ({name: shape for names, shape in found for name in names.split(", ")}, out[1]) if out else None


def public() -> dict[str, Callable]:
    """Every public function and class of the package whose docstring has shapes."""
    found = {}
    for module in pkgutil.walk_packages(elsface_lite.__path__, "elsface_lite."):
        if module.name.endswith("__main__") or ".widgets" in module.name:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            ours = getattr(value, "__module__", None) == module.name
            if ours and callable(value) and not name.startswith("_") and described(value):
                found[f"{module.name.removeprefix('elsface_lite.')}.{name}"] = value
    return found


def test_no_shape_is_left_out():
    assert set(public()) == set(CASES) | LEFT_OUT


@pytest.mark.parametrize("name", CASES)
def test_shapes_are_those_of_the_docstring(name):
    torch.manual_seed(0)
    value, beside = public()[name], CASES[name]
    shapes, out = described(value)
    inputs = {key: torch.rand(dimensions(shape)) for key, shape in shapes.items()}
    in_order = [tensor for key, tensor in inputs.items() if isinstance(key, int)]
    named = {key: tensor for key, tensor in inputs.items() if isinstance(key, str)}
    result: Tensor = value(**beside)(*in_order) if inspect.isclass(value) else value(*in_order, **named, **beside)
    assert tuple(result.shape) == dimensions(out), f"{name}: {shapes} -> {out}"


def test_a_wrong_shape_is_seen():
    def transpose(x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        return x.mT

    shapes, out = described(transpose)
    assert tuple(transpose(torch.rand(dimensions(shapes[0]))).shape) != dimensions(out)
