"""The Haar wavelet: what 2x2 pixels have in common, and how they differ (chapter 09)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def haar_bands(image: Tensor) -> tuple[Tensor, Tensor]:
    """The Haar wavelet of an image: what 2x2 pixels have in common, and how they differ.

    Args:
        image: (b, 3, 2h, 2w).

    Returns:
        The low band, (b, 3, h, w), and three high ones, (b, 9, h, w): along x, along y and crosswise. Together their
        values have the squares that the pixels have.
    """
    blocks = [[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]]
    kernels = torch.einsum("kij,cd->kcdij", image.new_tensor(blocks) / 2, torch.eye(3).to(image))
    low, *high = F.conv2d(image, kernels.flatten(0, 1), stride=2).split(3, 1)
    return low, torch.cat(high, 1)
