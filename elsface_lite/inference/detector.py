"""MTCNN: faces and five landmarks in a photograph, by three small networks, each stricter than the one before.

Zhang, Zhang, Li, Qiao: Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks, IEEE Signal
Processing Letters 23, 2016. The weights are those of David Sandberg's facenet in the package facenet-pytorch (MIT),
which is not imported: only its data files are read.
"""

import math
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.inputs import Picture, as_image
from ..packages import find_file

THRESHOLDS = (0.6, 0.7, 0.9)  # of the three stages; the last one is stricter than the paper's 0.7
SHRINK = 0.709  # from one level of the pyramid to the next: half the area
STRIDE, CELL = 2, 12  # of the first stage, in pixels of its level
MAX_BOXES = 2000  # that are compared with each other
BLOCK = 246  # pixels of a level that the first stage slides over at a time, so that its features stay in the cache


class Detection(NamedTuple):
    """What `detect` finds.

    Attributes:
        boxes: (n, 4), left, top, right, bottom in pixels.
        landmarks: (n, 5, 2), x and y in pixels: left and right eye as seen, nose, left and right corner of the mouth.
        scores: (n,), from 0 to 1.
    """

    boxes: Tensor
    landmarks: Tensor
    scores: Tensor


class Stage(nn.Module):
    """One network: convolutions, perhaps a dense layer, then what it says of a window.

    Args:
        convs: (in channels, out channels, kernel size, pooling kernel at stride 2 or 0) of each convolution.
        dense: (in, out) features of the dense layer; None for the first stage, which slides.
        heads: outputs of each head: 2 (no face, face), 4 (correction of the box), 10 (landmarks).

    Shape: (b, 3, h, w), values in [-1, 1] -> one tensor per head, the face's probabilities not yet normalised.
    """

    def __init__(self, convs: list[tuple[int, int, int, int]], dense: tuple[int, int] | None, heads: list[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(a, b, kernel) for a, b, kernel, _ in convs)
        self.pools = [pool for *_, pool in convs]
        self.dense = nn.Linear(*dense) if dense else None
        widths = [b for _, b, _, _ in convs] + ([dense[1]] if dense else [])
        self.prelus = nn.ModuleList(nn.PReLU(width) for width in widths)
        last = widths[-1]
        self.heads = nn.ModuleList(nn.Linear(last, n) if dense else nn.Conv2d(last, n, 1) for n in heads)

    def forward(self, x: Tensor) -> list[Tensor]:
        for layer, prelu, pool in zip(self.convs, self.prelus, self.pools, strict=False):
            x = prelu(layer(x))
            if pool:
                x = F.max_pool2d(x, pool, 2, ceil_mode=True)
        if self.dense is not None:
            x = self.prelus[-1](self.dense(x.permute(0, 3, 2, 1).flatten(1)))  # the weights count columns first
        return [head(x) for head in self.heads]


@cache
def stages() -> tuple[Stage, Stage, Stage]:
    """The three networks with their weights: they propose, refine, and place the landmarks.

    Raises:
        ElsfaceError: the package with the weights is missing, with the command that installs it, or damaged.
    """
    first = Stage([(3, 10, 3, 2), (10, 16, 3, 0), (16, 32, 3, 0)], None, [2, 4])
    second = Stage([(3, 28, 3, 3), (28, 48, 3, 3), (48, 64, 2, 0)], (576, 128), [2, 4])
    third = Stage([(3, 32, 3, 3), (32, 64, 3, 3), (64, 64, 3, 2), (64, 128, 2, 0)], (1152, 256), [2, 4, 10])
    for name, stage in zip(("pnet", "rnet", "onet"), (first, second, third), strict=True):
        state = torch.load(find_file(name), map_location="cpu", weights_only=True)
        # Both list their layers in the order in which they run, but for the activations, which we keep apart.
        ours = [key for key in stage.state_dict() if "prelus" not in key]
        theirs = [key for key in state if "prelu" not in key]
        ours += [key for key in stage.state_dict() if "prelus" in key]
        theirs += [key for key in state if "prelu" in key]
        stage.load_state_dict({new: state[old] for new, old in zip(ours, theirs, strict=True)})
        stage.to(memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
    return first, second, third


@torch.inference_mode()
def detect(image: Picture, smallest: float = 20, largest: float = math.inf) -> Detection:
    """Finds the faces in a photograph that stand upright, or lean by up to some 50 degrees.

    Args:
        image: (3, h, w), RGB in [0, 1], or in any other form that `as_image` takes.
        smallest: side of the smallest face box that is looked for, in pixels.
        largest: the same of the largest.

    Returns:
        The faces, the surest first.

    Raises:
        ElsfaceError: see `stages`.
    """
    image = 2 * as_image(image).cpu() - 1
    boxes = _propose(image, smallest, largest)
    boxes, *_ = _judge(image, boxes, 1, 24)
    boxes, scores, landmarks = _judge(image, boxes, 2, 48)
    return Detection(boxes, landmarks, scores)


def _propose(image: Tensor, smallest: float, largest: float) -> Tensor:
    """The first stage on every level of a pyramid: boxes (n, 4)."""
    height, width = image.shape[-2:]
    found = [torch.empty(0, 5)]
    scale = CELL / smallest
    while scale * min(height, width) >= CELL and CELL / scale <= largest:
        level = F.interpolate(image[None], (int(height * scale), int(width * scale)), mode="area")
        found.append(_slide(level, scale))
        scale *= SHRINK
    boxes, scores = torch.cat(found).split([4, 1], dim=1)
    return boxes[_suppress(boxes, scores[:, 0], 0.7)]


def _slide(level: Tensor, scale: float) -> Tensor:
    """Runs the first stage over one level: (n, 5), corrected boxes in the photograph's pixels and their scores."""
    height, width = level.shape[-2:]
    reach = CELL - STRIDE  # by which blocks overlap, so that each window is seen once
    found = [torch.empty(0, 9)]
    for top, left in product(range(0, height - reach, BLOCK), range(0, width - reach, BLOCK)):
        block = level[:, :, top : top + BLOCK + reach, left : left + BLOCK + reach]
        if min(block.shape[-2:]) >= CELL:
            found.append(_slide_block(block, left, top))
    seen = torch.cat(found)
    seen = seen[
        (seen[:, 1].long() * width + seen[:, 0].long()).argsort()
    ]  # by rows, whatever the blocks: scores may tie
    windows, shifts, scores = seen.split([4, 4, 1], dim=1)
    boxes = windows / scale
    keep = _suppress(boxes, scores[:, 0], 0.5)
    return torch.cat([_shift(boxes[keep], shifts[keep]), scores[keep]], 1)


def _slide_block(block: Tensor, left: int, top: int) -> Tensor:
    """The windows of a block that may be a face, in pixels of its level: (n, 9), the box, its correction, its score."""
    scores, shifts = stages()[0](block.contiguous(memory_format=torch.channels_last))
    scores = scores.softmax(1)[0, 1]
    rows, columns = torch.where(scores > THRESHOLDS[0])
    corner = torch.tensor([left, top]) + torch.stack([columns, rows], 1) * STRIDE
    return torch.cat([corner, corner + CELL, shifts[0, :, rows, columns].T, scores[rows, columns][:, None]], 1)


def _judge(image: Tensor, boxes: Tensor, number: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """A later stage on the windows that are left: boxes (n, 4), scores (n,), landmarks (n, 5, 2)."""
    boxes = _squares(boxes)
    parts = [stages()[number](_windows(image, part, size)) for part in boxes.split(256)]
    heads = [torch.cat(head) for head in zip(*parts, strict=True)] if parts and len(boxes) else []
    if not heads:
        return boxes, boxes.new_empty(0), boxes.new_empty(0, 5, 2)
    scores = heads[0].softmax(1)[:, 1]
    side = boxes[:, 2] - boxes[:, 0]
    landmarks = heads[-1].view(len(boxes), 2, -1).mT  # the third stage: x of all five, then y
    landmarks = boxes[:, None, :2] + side[:, None, None] * landmarks
    boxes = _shift(boxes, heads[1])
    keep = scores > THRESHOLDS[number]
    boxes, scores, landmarks = boxes[keep], scores[keep], landmarks[keep]
    keep = _suppress(boxes, scores, 0.5)
    return boxes[keep], scores[keep], landmarks[keep]


def _shift(boxes: Tensor, shifts: Tensor) -> Tensor:
    """Moves the four sides by fractions of the box's width and height."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + shifts * torch.cat([size, size], 1)


def _squares(boxes: Tensor) -> Tensor:
    """The squares around the boxes' centres with their longer side."""
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([center - half, center + half], 1)


def _windows(image: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cuts each box out of the photograph, mid-grey beyond its border: (n, 3, size, size)."""
    height, width = image.shape[-2:]
    windows = [image.new_empty(0, 3, size, size)]
    for left, top, right, bottom in boxes.round().int().tolist():
        part = image[None, :, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        beyond = [max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0)]
        mode = "area" if right - left >= size else "bilinear"  # of a few pixels, "area" would make blocks
        windows.append(F.interpolate(F.pad(part, beyond), (size, size), mode=mode))
    return torch.cat(windows)


def _suppress(boxes: Tensor, scores: Tensor, limit: float) -> Tensor:
    """Non-maximum suppression: the indices of the boxes that overlap no surer one by more than the limit.

    torchvision has the same, and takes longer to import than a photograph to search.
    """
    order = scores.argsort(descending=True)[:MAX_BOXES]
    boxes = boxes[order]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    inner = torch.minimum(boxes[:, None, 2:], boxes[:, 2:]) - torch.maximum(boxes[:, None, :2], boxes[:, :2])
    inner = inner.clamp(min=0).prod(2)
    overlaps = inner > limit * (area[:, None] + area - inner)
    left = torch.ones(len(boxes), dtype=torch.bool)
    for index in range(len(boxes)):
        if left[index]:
            left[index + 1 :] &= ~overlaps[index, index + 1 :]
    return order[left]
