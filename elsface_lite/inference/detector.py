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

# Of the three stages. The paper's first two, 0.6 and 0.7, find as many faces and look at a third more windows; with its
# last, 0.7, more is taken for a face that is none.
THRESHOLDS = (0.7, 0.6, 0.9)
SHRINK = math.sqrt(0.5)  # from one level of the pyramid to the next: two of them halve it
STRIDE, CELL = 2, 12  # of the first stage, in pixels of its level
MAX_BOXES = 4000  # that the second stage looks at
BLOCK = 502  # pixels of a level that the first stage slides over at a time, so that its features stay in the cache
VECTOR = 16  # float32 numbers in a register of AVX-512: with as many channels as fill some, convolutions are faster


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


class Level(NamedTuple):
    """A photograph shrunk.

    Attributes:
        image: (1, 3, h, w), values in [-1, 1].
        scale: its pixels for each of the photograph's.
    """

    image: Tensor
    scale: float


class Stage(nn.Module):
    """One network: convolutions, perhaps a dense layer, then what it says of a window.

    Args:
        convs: (in channels, out channels, kernel size, pooling kernel at stride 2 or 0) of each convolution; its last
            vector is filled up with channels of zeros.
        dense: (in, out) features of the dense layer; None for the first stage, which slides.
        heads: outputs of each head: 1 (how sure it is of a face), 4 (correction of the box), 10 (landmarks).

    Shape: (b, 3, h, w), values in [-1, 1] -> one tensor per head; 0.5 is the sigmoid of the first one's 0.
    """

    def __init__(self, convs: list[tuple[int, int, int, int]], dense: tuple[int, int] | None, heads: list[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(_filled(a), _filled(b), kernel) for a, b, kernel, _ in convs)
        self.pools = [pool for *_, pool in convs]
        self.dense = nn.Linear(*dense) if dense else None
        widths = [_filled(b) for _, b, _, _ in convs] + ([dense[1]] if dense else [])
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


def _filled(channels: int) -> int:
    return channels if channels == 3 else channels + -channels % VECTOR


@cache
def stages() -> tuple[Stage, Stage, Stage]:
    """The three networks with their weights: they propose, refine, and place the landmarks.

    Raises:
        ElsfaceError: the package with the weights is missing, with the command that installs it, or damaged.
    """
    first = Stage([(3, 10, 3, 2), (10, 16, 3, 0), (16, 32, 3, 0)], None, [1, 4])
    second = Stage([(3, 28, 3, 3), (28, 48, 3, 3), (48, 64, 2, 0)], (576, 128), [1, 4])
    third = Stage([(3, 32, 3, 3), (32, 64, 3, 3), (64, 64, 3, 2), (64, 128, 2, 0)], (1152, 256), [1, 4, 10])
    for name, stage in zip(("pnet", "rnet", "onet"), (first, second, third), strict=True):
        state = torch.load(find_file(name), map_location="cpu", weights_only=True)
        # Both list their layers in the order in which they run, but for the activations, which we keep apart.
        theirs = [state[key] for key in sorted(state, key=lambda key: "prelu" in key)]
        ours = sorted(stage.state_dict().items(), key=lambda item: "prelu" in item[0])
        for (key, weight), value in zip(ours, theirs, strict=True):
            if key.startswith("heads.0"):  # no face, face: how much surer it is of the second
                value = value[1:] - value[:1]
            weight.zero_()[tuple(map(slice, value.shape))] = value
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
    levels = _pyramid(2 * as_image(image).cpu() - 1, smallest, largest)
    boxes = _propose(levels[1:])
    boxes, *_ = _judge(levels, boxes, 1, 24)
    boxes, scores, landmarks = _judge(levels, boxes, 2, 48)
    return Detection(boxes, landmarks, scores)


def _pyramid(image: Tensor, smallest: float, largest: float) -> list[Level]:
    """The photograph itself, and levels in which faces are as large as the first stage's windows."""
    height, width = image.shape[-2:]
    levels, scale = [Level(image[None], 1.0)], CELL / smallest
    while scale * min(height, width) >= CELL and CELL / scale <= largest:
        larger = levels[max(0, len(levels) - 2)].image
        size = int(height * scale), int(width * scale)
        levels.append(Level(F.interpolate(larger, size, mode="area"), scale))
        scale *= SHRINK
    return levels


def _propose(levels: list[Level]) -> Tensor:
    """The first stage on every level: boxes (n, 4) in pixels of the photograph, the surest first."""
    found = [torch.empty(0, 5)]
    for level, scale in levels:
        seen = _slide(level)
        rows, columns = _peaks(seen[0])
        scores, shifts = seen[:, rows, columns].T.split([1, 4], 1)
        corners = torch.stack([columns, rows], 1) * STRIDE
        boxes = _shift(torch.cat([corners, corners + CELL], 1) / scale, shifts)
        found.append(torch.cat([boxes, scores], 1))
    boxes, scores = torch.cat(found).split([4, 1], 1)
    return boxes[scores[:, 0].argsort(descending=True, stable=True)[:MAX_BOXES]]


def _slide(level: Tensor) -> Tensor:
    """What the first stage says at every second pixel of a level, by blocks: (5, rows, columns)."""
    height, width = level.shape[-2:]
    reach = CELL - STRIDE  # by which blocks overlap, so that each window is seen once
    seen = []
    for top in range(0, height - reach, BLOCK):
        band = level[:, :, top : top + BLOCK + reach]
        blocks = [band[..., left : left + BLOCK + reach] for left in range(0, width - reach, BLOCK)]
        said = [torch.cat(stages()[0](block.contiguous(memory_format=torch.channels_last)), 1) for block in blocks]
        seen.append(torch.cat(said, 3))
    return torch.cat(seen, 2)[0]


def _peaks(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of (h, w) that may be a face: non-maximum suppression of windows that overlap by more than half.

    Those are the eight around each. A window is left out beside a surer one, unless that is left out itself.
    """
    rows, columns = torch.where(scores > math.log(THRESHOLDS[0] / (1 - THRESHOLDS[0])))
    order = scores[rows, columns].argsort(descending=True, stable=True)
    rows, columns, rank = rows[order], columns[order], torch.arange(len(order))
    ranks = torch.full([side + 2 for side in scores.shape], len(order))
    ranks[rows + 1, columns + 1] = rank
    around = torch.stack([ranks[rows + down, columns + right] for down, right in product(range(3), repeat=2)])
    kept, now = None, torch.ones(len(order) + 1, dtype=torch.bool)
    while kept is None or not torch.equal(kept, now):
        kept, now = now, now.clone()
        now[:-1] = ~(kept[around] & (around < rank)).any(0)
    return rows[kept[:-1]], columns[kept[:-1]]


def _judge(levels: list[Level], boxes: Tensor, number: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """A later stage on the windows that are left: boxes (n, 4), scores (n,), landmarks (n, 5, 2)."""
    if not len(boxes):
        return boxes, boxes.new_empty(0), boxes.new_empty(0, 5, 2)
    boxes = _squares(boxes)
    parts = [stages()[number](part) for part in _windows(levels, boxes, size).split(256)]
    heads = [torch.cat(head) for head in zip(*parts, strict=True)]
    scores = heads[0].sigmoid()[:, 0]
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


def _windows(levels: list[Level], boxes: Tensor, size: int) -> Tensor:
    """Cuts each box out of the level that has little more pixels than needed, mid-grey beyond its border.

    Returns:
        (n, 3, size, size).
    """
    sides = boxes[:, 2] - boxes[:, 0]
    choice = (sides[:, None] * torch.tensor([scale for _, scale in levels[1:]]) >= size).sum(1)
    steps = (torch.arange(size) + 0.5) / size
    windows = boxes.new_empty(len(boxes), 3, size, size)
    for number, (image, scale) in enumerate(levels):
        chosen = torch.where(choice == number)[0]
        left, top = (boxes[chosen, side, None] + sides[chosen, None] * steps for side in (0, 1))
        height, width = image.shape[-2:]
        x, y = 2 * scale / width * left - 1, 2 * scale / height * top - 1
        grid = torch.stack(torch.broadcast_tensors(x[:, None], y[:, :, None]), -1)
        cut = F.grid_sample(image, grid.view(1, -1, size, 2), align_corners=False)
        windows[chosen] = cut.view(3, -1, size, size).transpose(0, 1)
    return windows


def _suppress(boxes: Tensor, scores: Tensor, limit: float) -> Tensor:
    """Non-maximum suppression: the indices of the boxes that overlap no surer one by more than the limit.

    torchvision has the same, and takes longer to import than a photograph to search.
    """
    order = scores.argsort(descending=True)
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
