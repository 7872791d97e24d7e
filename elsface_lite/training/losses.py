"""Sharp Loss: the distance of two images after both were sharpened (chapter 05)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gaussian_kernel(size: int) -> Tensor:
    """A normalised Gaussian of odd `size` taps, with OpenCV's default sigma for that size.

    Returns:
        (size,), float32; sigma = 0.3 ((size - 1) / 2 - 1) + 0.8 pixels, which is 8 at the paper's 51 taps.

    Raises:
        ValueError: size is even or below 1.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"the Gaussian needs an odd number of taps, not {size}.")
    sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8
    x = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-(x**2) / (2 * sigma**2))
    return (weights / weights.sum()).float()


def blur_matrix(size: int, kernel: Tensor) -> Tensor:
    """The blur of one axis as a matrix, reflection at both ends included.

    Args:
        size: pixels along the axis.
        kernel: (k,), odd k.

    Returns:
        (size, size): column j is the response to a single bright pixel at j.

    Raises:
        ValueError: the axis is too short to be reflected over half a kernel.
    """
    radius = len(kernel) // 2
    if size <= radius:
        raise ValueError(
            f"an image side of {size} pixels is too short for a Gaussian of {len(kernel)} taps: "
            f"it must be above {radius}."
        )
    one = torch.eye(size, dtype=kernel.dtype, device=kernel.device)
    pixels = F.pad(one[:, None], (radius, radius), mode="reflect")
    return F.conv1d(pixels, kernel[None, None])[:, 0].T


def gaussian_blur(image: Tensor, kernel: Tensor) -> Tensor:
    """Blurs rows, then columns: a Gaussian is separable, so G*I = A I B^T with one small matrix per axis.

    At 128x128 two matrix products are several times faster than two convolutions of 51 taps.

    Args:
        image: (b, c, h, w).
        kernel: (k,), odd k.

    Returns:
        (b, c, h, w); beyond the border the image is reflected.

    Raises:
        ValueError: the image is too small to be reflected over half a kernel.
    """
    kernel = kernel.to(image)
    height, width = image.shape[-2:]
    return blur_matrix(height, kernel) @ image @ blur_matrix(width, kernel).T


def unsharp_mask(image: Tensor, kernel: Tensor, amount: float = 0.5, threshold: float | None = None) -> Tensor:
    """Sharpens by adding back what a blur removes: S(I) = I + amount (I - G*I).

    Args:
        image: (b, c, h, w), values in [0, 1].
        kernel: (size,), the blur, from `gaussian_kernel`.
        amount: how much of the detail is added.
        threshold: None for the linear form, which the authors train with. A number (their code computes a mask
            from 10 and then drops it) sharpens only where |I - G*I| exceeds it, in 8-bit units, with that mask
            blurred, as Real-ESRGAN (Wang et al. 2021) prepares its training images.

    Returns:
        (b, c, h, w). Not clamped in the linear form.
    """
    detail = image - gaussian_blur(image, kernel)
    sharp = image + amount * detail
    if threshold is None:
        return sharp
    mask = gaussian_blur((255 * detail.abs() > threshold).to(image.dtype), kernel)
    return torch.lerp(image, sharp.clamp(0, 1), mask)


class SharpLoss(nn.Module):
    """L1(S(SR), S(HR)), with S the unsharp mask.

    In the linear form S(SR) - S(HR) = S(SR - HR), so one sharpening of the difference is enough.

    Args:
        amount, threshold: see `unsharp_mask`.
        kernel_size: odd number of taps of the Gaussian.

    Shape: (b, 3, h, w) and (b, 3, h, w), [0, 1] -> scalar.
    """

    def __init__(self, amount: float = 0.5, kernel_size: int = 51, threshold: float | None = None) -> None:
        super().__init__()
        self.amount, self.threshold = amount, threshold
        self.register_buffer("kernel", gaussian_kernel(kernel_size), persistent=False)

    def sharpen(self, image: Tensor) -> Tensor:
        """S(image): (b, c, h, w) -> (b, c, h, w)."""
        return unsharp_mask(image, self.kernel, self.amount, self.threshold)  # type: ignore[arg-type]

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        if self.threshold is None:
            return self.sharpen(sr - hr).abs().mean()
        return F.l1_loss(self.sharpen(sr), self.sharpen(hr))
