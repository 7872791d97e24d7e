"""The two faces that every chapter shows."""

from torch import Tensor

from ..data.degradation import quantize
from ..data.sources import portraits
from ..inference.faces import Box, crop_face

# Written down, so that all readers see the same: `find_faces` gives nearly these.
BOXES = {
    "astronaut": Box(x=224.8, y=118.5, side=159.7, angle=0.037),
    "grace_hopper": Box(x=265.6, y=227.4, side=326.7, angle=-0.059),
}


def portrait_faces() -> dict[str, Tensor]:
    """The faces of the astronaut and of Grace Hopper, upright: (3, 128, 128) each, in [0, 1], 8-bit values."""
    photographs = portraits()
    return {name: quantize(crop_face(photographs[name], box)) for name, box in BOXES.items()}
