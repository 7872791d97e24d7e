"""Which faces are restored, and which are left as they are: no pixels are replaced by fewer, or by worse ones."""

from torch import Tensor

from .box import Box

LARGEST = 400  # pixels of a face that still gains; the networks learned from 32x32


def judge(lr: Tensor, box: Box) -> str | None:
    """Why a face should be left alone.

    Args:
        lr: (3, h, w), the face as the network would take it.
        box: where it is in its photograph.

    Returns:
        The reason, in a few words; None if it should be restored.
    """
    if box.side > LARGEST:
        return f"left alone: with {box.side:.0f} pixels it has more detail than the network draws"
    return None
