"""How many pixels a face needs, and whether it is put back at all."""

import pytest
import torch
from torch import Tensor

from elsface_lite import portraits
from elsface_lite.data.blind import Blind
from elsface_lite.data.degradation import downscale, generator, resize, upscale
from elsface_lite.data.inputs import as_image
from elsface_lite.inference.box import Box
from elsface_lite.inference.faces import crop_face, find_faces
from elsface_lite.inference.judge import LARGEST, halved, halvings, judge, unchanged, unfinished


@pytest.fixture(scope="module", params=["astronaut", "grace_hopper"])
def face(request: pytest.FixtureRequest) -> Tensor:
    """(3, 128, 128), sharp."""
    photo = as_image(portraits()[request.param])
    return crop_face(photo, find_faces(photo)[0])


def test_a_sharp_face_keeps_its_pixels(face: Tensor) -> None:
    assert halvings(face, 128) == 0
    assert halvings(downscale(face, 2), 64) == 0


@pytest.mark.parametrize("times", [1, 2])
def test_an_enlarged_face_is_halved_until_it_is_sharp(face: Tensor, times: int) -> None:
    small = downscale(face, 2**times)
    large = upscale(small, 2**times)
    assert halvings(large, 128) == times
    assert (halved(large, times) - small).abs().mean() < 6 / 255  # bicubic there and back is a little blur
    # What stands beside the face in its photograph is asked as well: its size is given.
    assert halvings(upscale(downscale(face, 4), 4), 40) == 0


def test_noise_and_jpeg_of_an_enlarged_face_are_no_detail(face: Tensor) -> None:
    spoilt = Blind(4, clean=0)
    found = [halvings(resize(spoilt(face, generator(seed)), 256, 256), 256) for seed in range(8)]
    assert all(times in (2, 3) for times in found) and found.count(3) >= 6


def test_a_flat_picture_ends_somewhere() -> None:
    assert halvings(torch.full((3, 200, 200), 0.5), 200) == 3


def test_sides_that_are_no_power_of_two() -> None:
    image = torch.rand(3, 37, 50)
    assert halved(image, 2).shape == (3, 10, 13)


def test_what_is_smaller_than_it_was_is_unfinished() -> None:
    assert unfinished(128, 256) and unfinished(LARGEST, 999)
    assert not unfinished(256, 256) and not unfinished(LARGEST + 1, 999)


def test_what_is_put_back() -> None:
    assert judge(Box(0, 0, LARGEST)) is None
    assert "with 460 pixels" in (judge(Box(0, 0, 460)) or "")
    before = torch.rand(3, 64, 64)
    assert unchanged(before, 0.9 * before) is None
    assert "it changes by 0.5 of 255" in (unchanged(before, before + 0.5 / 255) or "")
