"""What an image is made of, from coarse to fine: spectra, filters and PSNR by radial frequency.

Frequencies are in cycles per pixel: 0.5, Nyquist, is one pixel bright, one dark. The finest grid of an LR face at
scale 4 is 0.5 / 4 = 0.125 cycles per HR pixel.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import ElsfaceError

FLOOR = 1e-10  # keeps logarithms finite: far below the power 1.3e-6 of 8-bit rounding, and a PSNR of 100 dB


def radius(image: Tensor) -> Tensor:
    """The distance from frequency zero of each coefficient of fft2(image): (h, w), cycles per pixel, 0 to 0.71."""
    height, width = image.shape[-2:]
    rows = torch.fft.fftfreq(height, device=image.device)[:, None]
    return torch.hypot(rows, torch.fft.fftfreq(width, device=image.device))


def mirror(image: Tensor) -> Tensor:
    """Continues the image by its mirror images, (..., h, w) -> (..., 2h, 2w), so that it repeats without an edge."""
    image = torch.cat([image, image.flip(-1)], dim=-1)
    return torch.cat([image, image.flip(-2)], dim=-2)


def power_spectrum(image: Tensor) -> Tensor:
    """Power by frequency, of the image less its mean under Hann's taper, which hides the jump from edge to edge.

    The taper's mean square is 1 and the transform keeps energy (Parseval): white noise of variance v has power v
    at every frequency.

    Args:
        image: (b, c, h, w), pixels or features.

    Returns:
        (b, h, w), the mean over channels; frequency zero in the top left corner.
    """
    height, width = image.shape[-2:]
    taper = torch.hann_window(height)[:, None] * torch.hann_window(width)
    taper = (taper / taper.square().mean().sqrt()).to(image)
    centred = image - image.mean(dim=(-2, -1), keepdim=True)
    return torch.fft.fft2(taper * centred, norm="ortho").abs().square().mean(dim=1)


def spectrum(image: Tensor) -> Tensor:
    """The picture of a power spectrum: log10, frequency zero in the middle.

    Args:
        image: (b, c, h, w), pixels or features.

    Returns:
        (b, h, w), at least -10.
    """
    return torch.fft.fftshift(power_spectrum(image), dim=(-2, -1)).clamp(min=FLOOR).log10()


def radial_profile(image: Tensor) -> tuple[Tensor, Tensor]:
    """The mean power in rings around frequency zero, each ring as wide as one frequency step.

    Args:
        image: (b, c, h, w), pixels or features.

    Returns:
        Frequencies (n,) in cycles per pixel, above 0 up to Nyquist, n = min(h, w) // 2; power (b, n).
    """
    steps = min(image.shape[-2:])
    power = power_spectrum(image).flatten(1)
    ring = (steps * radius(image)).round().long().flatten()
    count = torch.bincount(ring)
    total = power.new_zeros(len(power), len(count)).index_add_(1, ring, power)
    rings = torch.arange(1, steps // 2 + 1, device=image.device)
    return rings / steps, total[:, rings] / count[rings]


def low_pass(image: Tensor, cutoff: float) -> Tensor:
    """Keeps the frequencies up to the cutoff, of the mirrored image (of a type-II cosine transform, so to say).

    Args:
        image: (..., h, w).
        cutoff: cycles per pixel; 0 keeps the mean alone, 0.71 and more everything.

    Returns:
        (..., h, w), not clamped: a filtered face may leave [0, 1].

    Raises:
        ElsfaceError: the cutoff is negative.
    """
    if cutoff < 0:
        raise ElsfaceError(f"cutoff {cutoff} is negative: give cycles per pixel, 0 to 0.5 (Nyquist).")
    height, width = image.shape[-2:]
    whole = mirror(image)
    kept = torch.fft.rfft2(whole) * (radius(whole)[:, : width + 1] <= cutoff)
    return torch.fft.irfft2(kept, s=whole.shape[-2:])[..., :height, :width]


def high_pass(image: Tensor, cutoff: float) -> Tensor:
    """What low_pass takes away: low_pass + high_pass is the image."""
    return image - low_pass(image, cutoff)


def band_energy(image: Tensor, edges: Sequence[float]) -> Tensor:
    """The mean square of the image by band of radial frequency; over all frequencies the bands add up to it.

    Args:
        image: (b, c, h, w), for example SR - HR.
        edges: n + 1 rising frequencies in cycles per pixel; a band has its lower edge and not its upper one.

    Returns:
        (b, n), per pixel and channel.

    Raises:
        ElsfaceError: fewer than two edges, or they do not rise.
    """
    if len(edges) < 2 or any(low >= high for low, high in pairwise(edges)):
        raise ElsfaceError(f"band edges {list(edges)} do not rise: give two or more, as in [0, 0.125, 0.5].")
    whole = mirror(image)
    power = torch.fft.fft2(whole, norm="forward").abs().square().mean(dim=1)
    distance = radius(whole)
    bands = [power * ((low <= distance) & (distance < high)) for low, high in pairwise(edges)]
    return torch.stack([band.sum(dim=(-2, -1)) for band in bands], dim=-1)


def band_psnr(sr: Tensor, hr: Tensor, edges: Sequence[float]) -> Tensor:
    """PSNR that an image would have if it were wrong in one band of radial frequency only.

    Args:
        sr, hr: (b, c, h, w) in [0, 1].
        edges: n + 1 rising frequencies in cycles per pixel.

    Returns:
        (b, n) in dB, at most 100.
    """
    return -10 * band_energy(sr - hr, edges).clamp(min=FLOOR).log10()
