"""Chapter 02: modulation, the style encoder, and three exercises about them."""

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ...network.style import FeaturePreparation, LatentStyleEncoder, modulate
from .compare import FORGOTTEN, Checks, compare


def _seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def check_modulate(answer: Any) -> str:
    sizes = [(2, 2, 4, 4, 4), (3, 1, 5, 6, 3), (1, 3, 2, 2, 7)]
    cases = [(_seeded(*size, seed=i), _seeded(*size[:3], seed=i + 5), i == 1) for i, size in enumerate(sizes)]
    cases.append((*cases[0][:2], True))

    def at_each(axis: str, x: Tensor, w: Tensor) -> Tensor:
        return x * rearrange(w, f"b s c -> {axis}")

    mistakes = {
        "`residual` is ignored: with it a style of 0 has to change nothing.": lambda x, w, _: modulate(x, w),
        "You multiply by 1 + w even without `residual`.": lambda x, w, _: modulate(x, w, True),
        "With `residual` you add the style to the features: 1 + w is still a factor.": lambda x, w, r: (
            x + w[..., None, None] if r else modulate(x, w)
        ),
        "You add the styles: they are numbers to multiply by.": lambda x, w, _: x + w[..., None, None],
        "With `residual` you add 1 to the result: add it to the style.": lambda x, w, r: modulate(x, w) + int(r),
        "A style is squeezed by a sigmoid: any number is allowed.": lambda x, w, r: modulate(x, w.sigmoid(), r),
        "The styles meet the wrong axis of the features: a style belongs to a channel, not a row.": lambda x, w, r: (
            at_each("b s 1 c 1", x, 1 + w if r else w)
        ),
        "The styles meet the wrong axis of the features: a style belongs to a channel, not a column.": (
            lambda x, w, r: at_each("b s 1 1 c", x, 1 + w if r else w)
        ),
    }
    return compare(answer, modulate, cases, mistakes, tolerance=1e-5, gradient=True)


def check_encoder_forward(answer: Any) -> str:
    cases = []
    for seed, (channels, streams, size) in enumerate([(4, 2, (32, 32)), (3, 3, (48, 40)), (2, 1, (16, 23))]):
        torch.manual_seed(seed)
        cases.append((LatentStyleEncoder(channels, streams), torch.rand(2, 3, *size)))

    def flat(self: Any, lr: Tensor, order: str = "b c h w -> b (c h w)", split: str = "b (s c) -> b s c") -> Tensor:
        return rearrange(self.to_styles(rearrange(self.pool(self.body(lr)), order)), split, s=self.streams)

    mistakes = {
        "The pooled grid is flattened in another order: channels come first, then rows, then columns.": lambda e, lr: (
            flat(e, lr, "b c h w -> b (h w c)")
        ),
        "The streams come first in the linear layer's output, then the channels of each.": lambda e, lr: flat(
            e, lr, split="b (c s) -> b s c"
        ),
        "The output still has to be divided into streams: (b, s, c).": lambda e, lr: flat(e, lr).flatten(1),
        "A sigmoid is too much: styles are any number.": lambda e, lr: flat(e, lr).sigmoid(),
    }
    try:
        return compare(answer, LatentStyleEncoder.forward, cases, mistakes, tolerance=1e-5, gradient=True)
    except RuntimeError as error:
        if "shapes cannot be multiplied" not in str(error):
            raise
        return (
            "The linear layer wants 16 values a channel for each face, in a row: `self.pool`, then all but the batch "
            "flattened."
        )


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def check_count(answer: Any) -> str:
    right, convolution = _count(LatentStyleEncoder(48, 3)), (9 * 48 + 1) * 48
    known = {
        right - (9 * 48 + 3 * 48): "Almost: every layer has biases, too.",
        _count(LatentStyleEncoder(48, 2)): "That is for two streams: which layer knows of the third?",
        right - convolution: "One convolution is missing: two in each of four levels, and one more.",
        right + convolution: "One convolution too many: the first of all has only 3 channels in.",
    }
    if answer == right:
        return ""
    off = f"You have {abs(answer - right):,} too {'many' if answer > right else 'few'}."
    return known.get(answer, f"{off} Nine convolutions and a linear layer: which of them is off?")


def check_start_at_one(answer: Any) -> str:
    torch.manual_seed(0)
    fresh, faces = LatentStyleEncoder(12), torch.rand(4, 3, 32, 32)
    before = {name: weight.clone() for name, weight in fresh.body.named_parameters()}
    if answer(fresh) is None:
        return FORGOTTEN
    styles = fresh(faces)
    if not torch.allclose(styles, torch.ones_like(styles), atol=1e-6):
        return f"Styles lie between {styles.min():.4f} and {styles.max():.4f}, not at 1."
    if not styles.requires_grad:
        return "No gradient comes from these styles: can any layer learn?"
    if any(not torch.equal(weight, before[name]) for name, weight in fresh.body.named_parameters()):
        return "The convolutions have changed: is the linear layer not enough?"
    if not _descend(fresh, faces).get("to_styles.weight"):
        return "The weights of the linear layer get no gradient: can it ever learn?"
    _descend(fresh, faces)  # only after the first step has the linear layer weights that hand a gradient on
    stuck = sum(torch.equal(weight, before[name]) for name, weight in fresh.body.named_parameters())
    return (
        f"After two steps {stuck} weights of the convolutions have not moved: every layer should learn."
        if stuck
        else ""
    )


def _descend(encoder: nn.Module, faces: Tensor) -> dict[str, bool]:
    """One step of gradient descent on what may learn; whether each of these had a gradient."""
    learning = {name: weight for name, weight in encoder.named_parameters() if weight.requires_grad}
    loss = (encoder(faces) * _seeded(4, 2, 12)).sum()
    gradients = torch.autograd.grad(loss, list(learning.values()), allow_unused=True)
    moved = {}
    for (name, weight), gradient in zip(learning.items(), gradients, strict=True):
        moved[name] = gradient is not None and bool(gradient.any())
        weight.data = weight.data - 0.1 * gradient if moved[name] else weight.data
    return moved


def check_without_encoder(answer: Any) -> str:
    lr = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    for blocks, grid, mode in ((0, 1, "scale"), (0, 2, "residual"), (2, 1, "residual"), (1, 2, "scale")):
        torch.manual_seed(blocks)
        stage, styles = FeaturePreparation(8, 2, blocks, grid, mode), 0.5 + torch.rand(2, 8)  # type: ignore[arg-type]
        trace: dict[str, Tensor] = {}
        stage(lr, trace)
        smaller = answer(stage, styles.clone())
        if smaller is None:
            return FORGOTTEN
        features = F.interpolate(trace["head"], scale_factor=grid, mode="bilinear") if grid > 1 else trace["head"]
        features = rearrange(features, "b (s c) h w -> b s c h w", s=2)
        wanted = modulate(features, styles.expand(2, -1, -1), mode == "residual")
        if smaller.encoder is not None:
            return 'It still has an encoder: make a FeaturePreparation of style "none".'
        if [type(part) for part in smaller.head.modules()] != [type(part) for part in stage.head.modules()]:
            return "Its head has other layers than before: the convolutions that are there should take the factor."
        if not torch.allclose(smaller(lr), wanted, atol=1e-4):
            inside = zip(smaller.head[1:].parameters(), stage.head[1:].parameters(), strict=True)
            if blocks and all(torch.equal(mine, before) for mine, before in inside):
                return "The residual blocks are as before: they get w x now and have to add w times what they added."
            swapped = modulate(features, styles.expand(2, -1, -1), mode != "residual")
            mixed = torch.allclose(smaller(lr), swapped, atol=1e-4)
            hint = " The factor is w for `scale` and 1 + w for `residual`." if mixed else ""
            return f"It fails with {blocks} blocks in the head, grid {grid}, style {mode!r}.{hint}"
    return ""


CHECKS: Checks = {
    "modulate": check_modulate,
    "LatentStyleEncoder.forward": check_encoder_forward,
    "02.1": check_count,
    "02.2": check_start_at_one,
    "02.3": check_without_encoder,
}
