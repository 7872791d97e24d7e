"""LPIPS as a loss: what a network sees of the difference, with a gradient to SR."""

from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import ElsfaceError
from ..metrics.networks import check_installed, lpips_network


class LPIPSLoss(nn.Module):
    """Learned perceptual distance, version 0.1 (Zhang et al. 2018, equation 1), the mean over the batch.

    The network behind it is frozen, shared with the metric, and no part of the module: it adds nothing to a checkpoint,
    and is loaded on the device of the images. Nothing is clamped or rounded, so that every value of SR has a gradient.

    Args:
        net: "alex", or "vgg", which is twelve times as slow.
        precision: that it computes in. Some processors are faster in bfloat16; the cosine of its gradient to that in
            float32 is above 0.9 (`tests/training/test_perceptual.py`).

    Shape: (b, 3, h, w) and (b, 3, h, w), [0, 1], h and w at least 32 -> scalar.

    Raises:
        ElsfaceError: another net, or its weights are not installed.

    Example:
        >>> loss = nn.functional.l1_loss(sr, hr) + 0.1 * ef.LPIPSLoss()(sr, hr)
    """

    def __init__(self, net: Literal["alex", "vgg"] = "alex", precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        if net not in ("alex", "vgg"):
            raise ElsfaceError(f'the net of LPIPS is "alex" or "vgg", not {net!r}.')
        check_installed("lpips" if net == "alex" else "lpips_vgg")
        self.net, self.precision = net, precision

    def extra_repr(self) -> str:
        return f"net={self.net!r}"

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        if min(sr.shape[-2:]) < 32:
            raise ElsfaceError(f"LPIPS needs 32x32 pixels or more: {sr.shape[-2]}x{sr.shape[-1]} is too small.")
        network = lpips_network(self.net, sr.device)
        with torch.autocast(sr.device.type, self.precision, enabled=self.precision != torch.float32):
            return network(2 * sr.float() - 1, 2 * hr.float() - 1).float().mean()
