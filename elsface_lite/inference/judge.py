"""Which faces are restored, and from how many pixels; which are left as they are (chapter 10).

A face that is large and sharp is not tried, and one that comes out as it went in is dropped. Whether what is put back
is better nobody can see without the truth: benchmarks/judging.py counts it where there is one.
"""

import torch.nn.functional as F
from torch import Tensor

from ..data.degradation import quantize
from .box import Box

FULL = 0.4  # of the detail one octave coarser: a sharp face has at least so much in its finest octave
FAINT = 1 / 255  # detail below this, root mean square, is rounding
NARROWEST = 24  # pixels that a face is never brought below
LARGEST = 400  # pixels of a sharp face that still gains; the networks learned from 32 and 64
VISIBLE = 1 / 255  # change, root mean square, that can be seen at all


def halvings(face: Tensor, side: float) -> int:
    """How often a face can be halved before it loses detail: a blurred or enlarged face has more pixels than detail.

    What each octave holds is what is lost by halving. In a natural picture it hardly falls from one octave to the next
    finer one; where it does, the picture was blurred there.

    Args:
        face: (3, h, w), a part of a photograph.
        side: of the face in it, in pixels.

    Returns:
        0 for a sharp face.
    """
    gray, count = face.mean(0, keepdim=True), 0
    half, detail = _octave(gray)
    while side / 2 >= NARROWEST and min(half.shape[-2:]) > 1:
        quarter, coarser = _octave(half)
        if detail >= max(FULL * coarser, FAINT):
            break
        half, detail, side, count = quarter, coarser, side / 2, count + 1
    return count


def halved(image: Tensor, times: int) -> Tensor:
    """Shrunk by a power of two, as LR faces are; the border is repeated until this divides the sides.

    Args:
        image: (3, h, w) in [0, 1].
        times: how often.

    Returns:
        (3, ceil(h / 2**times), ceil(w / 2**times)) in [0, 1], with 8-bit values.
    """
    return quantize(_shrunk(image, 2**times))


def _shrunk(image: Tensor, factor: int) -> Tensor:
    height, width = image.shape[-2:]
    whole = F.pad(image[None], (0, -width % factor, 0, -height % factor), mode="replicate")
    return F.interpolate(whole, scale_factor=1 / factor, mode="bicubic", antialias=True)[0]


def _octave(gray: Tensor) -> tuple[Tensor, float]:
    """A picture (1, h, w) of half the size, and the root mean square of what it lost by that."""
    half = _shrunk(gray, 2)
    again = F.interpolate(half[None], scale_factor=2, mode="bicubic", antialias=True)[0]
    again = again[:, : gray.shape[-2], : gray.shape[-1]]
    return half, (gray - again).square().mean().sqrt().item()


def judge(place: Box) -> str | None:
    """Why a face should be left alone, before it is restored.

    Args:
        place: where it is in the picture that the network would take, which holds all its detail.

    Returns:
        The reason, in a few words; None if it should be restored.
    """
    if place.side > LARGEST:
        return f"left alone: large as it is, with {place.side:.0f} pixels"
    return None


def unfinished(side: float, before: float) -> bool:
    """Whether a restored face should go through the network again: it is smaller than in its photograph, and not large.

    Half of its pixels hold nearly all that the network has drawn, so it is halved for that, and comes out doubled by a
    network of x4.

    Args:
        side: of the restored face, in pixels.
        before: of the face in its photograph, as that came.
    """
    return side < before and side <= LARGEST


def unchanged(before: Tensor, after: Tensor) -> str | None:
    """Why a restored face should not be put back.

    Args:
        before, after: (3, s, s) in [0, 1], the face enlarged by bicubic interpolation, and restored.

    Returns:
        The reason, in a few words; None if it should be.
    """
    change = (after - before).square().mean().sqrt().item()
    return f"left alone: restored, it changes by {255 * change:.1f} of 255" if change < VISIBLE else None
