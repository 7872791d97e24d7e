"""What a camera, a phone and the way between them do to a face: blur, few pixels, noise, JPEG, in random amounts.

The order is that of the way a picture takes: the lens blurs, the sensor has few pixels and noise, the file is a JPEG;
then somebody scales it and saves it again. The ranges are those of GFPGAN and Real-ESRGAN, brought to small faces
(chapter 10).
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .color import in_tensor, to_pil
from .degradation import downscale

FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
GREY_NOISE = 0.4  # the share of noise that is the same in all colours
OWN_PIXELS = 0.3  # the share of LR faces whose pixels are those of the sensor, as in a photograph that nobody scaled
RESAVED = 0.5  # of the others, the share that is scaled and saved a second time
SMALL = 24  # pixels: narrower faces get less noise and better JPEGs, or nothing would be left of them


@dataclass(frozen=True)
class Blind:
    """A degradation that is drawn anew for each face: a network that learns it need not be told what happened.

    Args:
        scale: LR pixels are this many HR pixels wide.
        blur: least and greatest standard deviation of the lens's Gaussian, in HR pixels, on each of its axes.
        shrink: least and greatest number of HR pixels that become one pixel of the sensor, whatever the scale.
        noise: greatest standard deviation of the sensor's noise, in 8-bit levels.
        quality: least and greatest quality of a JPEG, as libjpeg counts it, with halved colour resolution.
        clean: the share of faces that are only shrunk, as by `Bicubic`.

    Example:
        >>> lr = ef.Blind(4)(hr, ef.generator(0))  # (3, 128, 128) -> (3, 32, 32)
    """

    scale: int = 4
    blur: tuple[float, float] = (0.1, 2.5)
    shrink: tuple[float, float] = (2.0, 8.0)
    noise: float = 12.0
    quality: tuple[int, int] = (50, 98)
    clean: float = 0.2

    def __call__(self, hr: Tensor, generator: torch.Generator) -> Tensor:
        """An LR face.

        Args:
            hr: (3, h, w) in [0, 1], h and w multiples of scale.
            generator: what is drawn comes from it alone.

        Returns:
            (3, h / scale, w / scale) in [0, 1], with 8-bit values.
        """
        draw = Draw(generator)
        if draw.happens(self.clean):
            return downscale(hr, self.scale)
        height, width = (side // self.scale for side in hr.shape[-2:])
        blurred = gaussian(hr, draw.uniform(*self.blur), draw.uniform(*self.blur), draw.uniform(0, math.pi))
        own = draw.happens(OWN_PIXELS)
        factor = self.scale if own else math.exp(draw.uniform(*map(math.log, self.shrink)))
        picture = resized(to_pil(blurred), hr.shape[-1] / factor, hr.shape[-2] / factor, draw)
        picture = self.saved(noisy(picture, draw.uniform(0, self.noise), draw), draw)
        if not own and draw.happens(RESAVED):
            again = draw.uniform(0.7, 1.4)  # off the grid of 8x8 blocks, which the second JPEG lays anew
            picture = self.saved(resized(picture, again * picture.width, again * picture.height, draw), draw)
        return in_tensor(picture.resize((width, height), Image.Resampling.BICUBIC))

    def saved(self, picture: Image.Image, draw: "Draw") -> Image.Image:
        """As a JPEG of some quality, read again."""
        low, high = self.quality
        quality = round(draw.uniform(max(low, 70) if picture.width < SMALL else low, high))
        # Its blocks of 8x8 begin somewhere in the face, as in the photograph that it is cut out of.
        left, top = (int(draw.uniform(0, 8)) for _ in range(2))
        whole, file = np.pad(np.asarray(picture), ((top, 0), (left, 0), (0, 0)), mode="edge"), io.BytesIO()
        Image.fromarray(whole).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        return Image.open(file).crop((left, top, left + picture.width, top + picture.height))


class Draw:
    """Random numbers, one after another."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float) -> float:
        """A number between two."""
        return low + (high - low) * torch.rand((), generator=self.generator).item()

    def happens(self, share: float) -> bool:
        """Whether something happens that happens so often."""
        return self.uniform(0, 1) < share

    def normal(self, *shape: int) -> np.ndarray:
        """Of a standard normal distribution."""
        return torch.randn(shape, generator=self.generator).numpy()


def gaussian(image: Tensor, along: float, across: float, angle: float) -> Tensor:
    """Blurs by a Gaussian that need not be round, as motion and a lens out of focus do.

    Args:
        image: (3, h, w).
        along, across: its standard deviations, in pixels.
        angle: of its first axis to the x axis, in radians.

    Returns:
        (3, h, w); beyond the border the image is mirrored.
    """
    half = max(1, math.ceil(3 * max(along, across)))
    steps = torch.arange(-half, half + 1, dtype=image.dtype)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    u, v = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
    kernel = torch.exp(-(u / along).square() / 2 - (v / across).square() / 2)
    kernel = (kernel / kernel.sum())[None, None].expand(3, 1, -1, -1)
    return F.conv2d(F.pad(image[None], [half] * 4, mode="reflect"), kernel, groups=3)[0]


def resized(picture: Image.Image, width: float, height: float, draw: Draw) -> Image.Image:
    """To about this size, at least 4 pixels, by a filter that is drawn."""
    size = max(4, round(width)), max(4, round(height))
    return picture.resize(size, FILTERS[int(draw.uniform(0, len(FILTERS)))])


def noisy(picture: Image.Image, level: float, draw: Draw) -> Image.Image:
    """With Gaussian noise of this standard deviation, in 8-bit levels: the same in all colours, or another in each."""
    channels = 1 if draw.happens(GREY_NOISE) else 3
    noise = (0.5 if picture.width < SMALL else 1) * level * draw.normal(picture.height, picture.width, channels)
    return Image.fromarray((np.asarray(picture, np.float32) + noise).round().clip(0, 255).astype(np.uint8))
