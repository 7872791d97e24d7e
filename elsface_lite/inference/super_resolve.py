"""Tensors in, tensors out: LR faces through a network, in batches that fit into memory."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..data.inputs import Picture, as_image
from ..network.modules import evaluating
from .judge import halved, unfinished

BATCH_PIXELS = 128 * 32 * 32  # LR pixels that go through the network at a time


@torch.no_grad()
def super_resolve(faces: Sequence[Picture] | Tensor, model: nn.Module, batch_size: int = 16) -> list[Tensor]:
    """Restores LR faces of any sizes; equal sizes share a batch.

    Args:
        faces: (3, h, w) each, or (b, 3, h, w), RGB in [0, 1], on any device; or in other forms that `as_image` takes.
        model: (b, 3, h, w) -> (b, 3, scale h, scale w), on the device where it is to compute. It runs in evaluation
            mode, and gets its own back; several threads may share it.
        batch_size: faces that go through the network at a time; fewer where they are large.

    Returns:
        (3, scale h, scale w) each, in [0, 1], on the CPU, in the order of the faces.

    Raises:
        ElsfaceError: a face is no picture.
    """
    images = [as_image(face) for face in faces]
    device = next(model.parameters(), torch.empty(0)).device  # an exported network has none, and runs on the CPU
    sizes: dict[torch.Size, list[int]] = defaultdict(list)
    for index, face in enumerate(images):
        sizes[face.shape].append(index)
    restored: dict[int, Tensor] = {}
    with evaluating(model):
        for (_, height, width), indices in sizes.items():
            step = max(1, min(batch_size, BATCH_PIXELS // (height * width)))
            for start in range(0, len(indices), step):
                batch = indices[start : start + step]
                sr = model(torch.stack([images[index] for index in batch]).to(device)).clamp(0, 1).cpu()
                restored.update(zip(batch, sr, strict=True))
    return [restored[index] for index in range(len(images))]


def super_resolve_again(sr: Tensor, side: float, before: float, model: nn.Module) -> tuple[Tensor, float]:
    """Restores a restored face, as long as that enlarges it and `judge.unfinished` says so, each time from its half.

    Args:
        sr: (3, h, w) in [0, 1], what `super_resolve` made.
        side: of the face in it, in pixels.
        before: of the face in its photograph.
        model: as in `super_resolve`, with a config.

    Returns:
        (3, n h, n w) in [0, 1], where a network of x4 doubles n each time, rounded up if a side is odd; and the side of
        the face in it.
    """
    growth: float = model.config.scale / 2  # type: ignore[assignment, operator, union-attr]
    while growth > 1 and unfinished(side, before):
        (sr,) = super_resolve([halved(sr, 1)], model)
        side *= growth
    return sr, side
