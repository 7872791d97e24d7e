"""Where a face is: the square of a photograph that is one CelebA crop, turned with the face."""

import cmath
from collections.abc import Sequence
from typing import NamedTuple

from ..data.pairs import HR_SIZE

# Where MTCNN sees the eyes and the corners of the mouth in CelebA's crops: medians over 1,000 of them, as x + yi.
LANDMARKS = (47.1 + 48.8j, 80.6 + 48.7j, 48.9 + 83.3j, 79.2 + 83.0j)
AROUND = 1.38  # side of a crop, of the longer side of the tight box that detectors draw around a face: a median


class Box(NamedTuple):
    """The square of a photograph that is one CelebA crop, turned with the face.

    Attributes:
        x, y: its centre, in pixels of the photograph (the first pixel is from 0 to 1).
        side: its side, in the same pixels; 3.7 times the distance of the eyes.
        angle: how far the face is turned clockwise, in radians.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    def scaled(self, factor: float) -> "Box":
        """The same square in a photograph that is `factor` times as large."""
        return Box(self.x * factor, self.y * factor, self.side * factor, self.angle)

    def moved(self, x: float, y: float) -> "Box":
        """The same square, that far to the right and down."""
        return self._replace(x=self.x + x, y=self.y + y)

    def turned(self, quarters: int, width: float, height: float) -> "Box":
        """The same square once its photograph, which is so wide and high by then, was turned clockwise by quarters."""
        before = complex(height, width) if quarters % 2 else complex(width, height)
        middle = complex(width, height) / 2 + (complex(self.x, self.y) - before / 2) * 1j**quarters
        return Box(middle.real, middle.imag, self.side, cmath.phase(cmath.rect(1, self.angle) * 1j**quarters))


class Sighting(NamedTuple):
    """A face that was found: where, and how sure the detector is, from 0 to 1."""

    box: Box
    score: float


def fit_box(landmarks: Sequence[complex]) -> tuple[Box, float]:
    """The box whose eyes and mouth lie closest to these: a least-squares similarity, which is linear in x + yi.

    Args:
        landmarks: left and right eye as seen, left and right corner of the mouth, as x + yi in pixels.

    Returns:
        The box, and how far off the worst of the four is from where it should be, in sides of the box.
    """
    center = sum(LANDMARKS) / len(LANDMARKS)
    seen = sum(landmarks) / len(landmarks)
    pairs = [(ours - center, theirs - seen) for ours, theirs in zip(LANDMARKS, landmarks, strict=True)]
    turn = sum(ours.conjugate() * theirs for ours, theirs in pairs) / sum(abs(ours) ** 2 for ours, _ in pairs)
    middle = seen + turn * (complex(HR_SIZE / 2, HR_SIZE / 2) - center)
    side = HR_SIZE * abs(turn)
    worst = max(abs(theirs - turn * ours) for ours, theirs in pairs) / max(side, 1e-9)
    return Box(middle.real, middle.imag, side, cmath.phase(turn)), worst


def around_face(left: float, top: float, right: float, bottom: float) -> Box:
    """The box of an upright face that another detector has drawn a tight rectangle around."""
    return Box((left + right) / 2, (top + bottom) / 2, AROUND * max(right - left, bottom - top))
