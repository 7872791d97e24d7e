"""Faces that chapters show: the two portraits of all chapters, and people who do not exist."""

from pathlib import Path

import torch
from torch import Tensor

from ..data.degradation import quantize
from ..data.images import read_image
from ..data.sources import portraits
from ..inference.faces import Box, crop_face

# Written down, so that all readers see the same: `find_faces` gives nearly these.
BOXES = {
    "astronaut": Box(x=224.8, y=118.5, side=159.7, angle=0.037),
    "grace_hopper": Box(x=265.6, y=227.4, side=326.7, angle=-0.059),
}
PEOPLE = Path(__file__).with_name("people.webp")
SIDE = 256  # pixels, of each of them


def portrait_faces() -> dict[str, Tensor]:
    """The faces of the astronaut and of Grace Hopper, upright: (3, 128, 128) each, in [0, 1], 8-bit values."""
    photographs = portraits()
    return {name: quantize(crop_face(photographs[name], box)) for name, box in BOXES.items()}


def made_up_people() -> Tensor:
    """Portraits of 36 people who do not exist: women and men, young and old, of many skins, some in glasses or hats.

    A network drew them: SFHQ-T2I, David Beniaguev, MIT licence (data/README.md). No weights were trained on them.

    Returns:
        (36, 3, 256, 256) in [0, 1], 8-bit values, cut as CelebA's faces are.
    """
    sheet = read_image(PEOPLE)
    return torch.cat([row.unfold(2, SIDE, SIDE).movedim(2, 0) for row in sheet.split(SIDE, dim=1)]).contiguous()
