"""Faces in a whole photograph: large ones in two looks at it, shrunk, turned by quarters; small ones in tiles."""

import math
from collections.abc import Iterable, Iterator
from itertools import chain, product

import torch.nn.functional as F
from torch import Tensor

from ..data.photograph import Photograph
from ..lanes import in_lanes
from .box import AROUND, Box, Sighting, fit_box
from .detector import Detection, detect

SMALLEST = 20.0  # pixels, of the side of a box
LOOKS = (1_000_000, 4_000_000)  # pixels of the whole in two looks; a smaller photograph is enlarged up to twice
WINDOW = 20.0  # pixels in it, of the smallest tight box around a face
ENOUGH = 24.0  # pixels of the smallest one that is searched for in tiles: what the second stage of the detector takes
TILE = 1536  # pixels, at most, by which tiles lie apart
LANES = 4  # looks and tiles at a time, where there are as many cores: each takes up to 150 MB
SURE = 0.97  # score of a face that says which way up a photograph is
# What a face within 65 degrees of upright looks like, from 150 views of faces turned by 15 degrees each: the crop that
# its landmarks fit, of the tight box; how far their centres are apart, and the worst landmark, in sides of the crop.
LEANING, SIDES, APART, WORST = math.radians(65), (1.1, 1.75), 0.17, 0.08


def smallest_of(photo: Photograph, smallest: float = SMALLEST) -> float:
    """Side in pixels of the smallest box that `search` looks for in a photograph: in small ones, smaller than asked."""
    return min(smallest, AROUND * WINDOW / _overview_factor(photo))


def search(photo: Photograph, smallest: float = SMALLEST) -> list[Sighting]:
    """Finds the faces in a photograph, by MTCNN, whose landmarks tell how each is turned.

    Args:
        photo: of any size; its memory is that of a look at 4 megapixels.
        smallest: side of the smallest box, in pixels of the photograph.

    Returns:
        The largest first; empty if there is none.

    Raises:
        ElsfaceError: the detector's weights are not installed; the message has the command.
    """
    factor = _overview_factor(photo)
    overview = photo.shrunk(factor).rgb() if factor < 1 else resized(photo.rgb(), factor)
    part = min(1.0, math.sqrt(LOOKS[0] / overview[0].numel()))
    found: list[tuple[Sighting, int]] = []
    if part < 1:
        small = resized(overview, part)
        found = _looked([(overview, factor, 0), *((small, part * factor, turn) for turn in range(4))])
    found += _looked((overview, factor, turn) for turn in _turns(found) if turn or part == 1)
    turns = _turns(found)
    sightings = [seen for seen, turn in found if turn in turns]
    if smallest < AROUND * WINDOW / factor:
        sightings += _in_tiles(photo, smallest / AROUND, 1.3 * WINDOW / factor, turns)
    return sorted(_each_once(sightings), key=lambda seen: -seen.box.side)


Look = tuple[Tensor, float, int]  # a picture, its pixels for each of the photograph's, and how often it is turned


def _looked(looks: Iterable[Look]) -> list[tuple[Sighting, int]]:
    """The faces in the whole photograph, and the turn in which each was found."""

    def look(at: Look) -> list[tuple[Sighting, int]]:
        image, factor, turn = at
        return [
            (Sighting(box.scaled(1 / factor), score), turn) for box, score in _upright_in(image, turn, WINDOW, math.inf)
        ]

    return list(chain.from_iterable(in_lanes(look, list(looks), LANES)))


def _turns(found: list[tuple[Sighting, int]]) -> list[int]:
    """The quarter turns to search in: upright, and those in which a face surely is; all where there is none.

    Most false alarms lie on their side, and one would have all tiles of an upright photograph searched for others.
    """
    kept = _each_once([seen for seen, _ in found])
    sure = {turn for seen, turn in found if seen.score > SURE and seen in kept}
    return sorted({0, *sure}) if sure else [0, 1, 2, 3]


def _overview_factor(photo: Photograph) -> float:
    height, width = photo.size
    return min(2.0, math.sqrt(LOOKS[1] / (height * width)))


def resized(image: Tensor, factor: float) -> Tensor:
    """(3, h, w) -> (3, factor h, factor w), at least one pixel wide and high."""
    size = [max(1, round(factor * side)) for side in image.shape[-2:]]
    return F.interpolate(image[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def _in_tiles(photo: Photograph, smallest: float, largest: float, turns: list[int]) -> Iterator[Sighting]:
    """The small faces, at the photograph's own size, or where they have pixels enough at less.

    Tiles overlap by more than the largest of them.
    """
    factor = min(1.0, ENOUGH / smallest)
    photo, smallest, largest = photo.shrunk(factor) if factor < 1 else photo, smallest * factor, largest * factor
    overlap = math.ceil(1.5 * largest)

    def look(place: tuple[int, int, int]) -> list[Sighting]:
        top, left, turn = place
        tile = photo.rgb(slice(top, top + TILE + overlap), slice(left, left + TILE + overlap))
        found = _upright_in(tile, turn, smallest, largest)
        return [Sighting(box.moved(left, top).scaled(1 / factor), score) for box, score in found]

    tops, lefts = (range(0, max(1, side - overlap), TILE) for side in photo.size)
    return chain.from_iterable(in_lanes(look, list(product(tops, lefts, turns)), LANES))


def _upright_in(image: Tensor, turn: int, smallest: float, largest: float) -> Iterator[Sighting]:
    """The faces that stand upright once the image, (3, h, w), is turned counterclockwise by so many quarters."""
    height, width = image.shape[-2:]
    found = detect(image.rot90(turn, (1, 2)), smallest, largest)
    for box, score in _checked(found):
        yield Sighting(box.turned(turn, width, height), score)


def _checked(found: Detection) -> Iterator[Sighting]:
    """Those whose landmarks agree with the box around them; a face on its side, taken for an upright one, does not."""
    landmarks = found.landmarks[:, [0, 1, 3, 4]]  # the nose is left out: it moves when a head turns
    for (left, top, right, bottom), points, score in zip(
        found.boxes.tolist(), landmarks.tolist(), found.scores.tolist(), strict=True
    ):
        box, worst = fit_box([complex(x, y) for x, y in points])
        relative = box.side / max(right - left, bottom - top, 1e-9)
        apart = math.hypot(box.x - (left + right) / 2, box.y - (top + bottom) / 2) / max(box.side, 1e-9)
        if abs(box.angle) < LEANING and SIDES[0] < relative < SIDES[1] and apart < APART and worst < WORST:
            yield Sighting(box, score)


def _each_once(found: list[Sighting]) -> list[Sighting]:
    """Of those that cover each other by half, the surest: one face is found in several tiles, sizes and turns.

    A face between two turns is found in both, and which way up it is shows where it leans less.
    """

    def unsure(seen: Sighting) -> float:
        return 0.1 * abs(math.remainder(seen.box.angle, math.pi / 2)) - seen.score

    kept: list[Sighting] = []
    for seen in sorted(found, key=unsure):
        if not any(_covered(seen.box, other.box) > 0.5 for other in kept):
            kept.append(seen)
    return kept


def _covered(one: Box, other: Box) -> float:
    """The share that two faces, as upright squares, have in common, of the smaller one."""
    half = [box.side / AROUND / 2 for box in (one, other)]
    common = [
        max(0.0, min(a + half[0], b + half[1]) - max(a - half[0], b - half[1]))
        for a, b in ((one.x, other.x), (one.y, other.y))
    ]
    return common[0] * common[1] / (2 * min(half)) ** 2
