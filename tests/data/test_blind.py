"""The blind degradation: deterministic, within its ranges, and spoiling what it says that it spoils."""

import math
import pickle
import time

import pytest
import torch
from PIL import Image
from torch import Tensor

import elsface_lite as ef
from elsface_lite.data.blind import Draw, gaussian, noisy, resized
from elsface_lite.data.color import in_tensor, to_pil

CLEAN = dict(blur=(1e-3, 1e-3), noise=0.0, quality=(100, 100), clean=0.0)  # as little as there can be of each


@pytest.fixture(scope="module")
def face() -> Tensor:
    return ef.portraits()["astronaut"][:, 30:158, 160:288]


def difference(blind: ef.Blind, face: Tensor, faces: int = 40) -> float:
    """Root mean square, in 8-bit levels, of what it makes to what `Bicubic` makes."""
    plain = ef.Bicubic(blind.scale)(face, ef.generator(0))
    made = torch.stack([blind(face, ef.generator(0, number)) for number in range(faces)])
    return 255 * (made - plain).square().mean().sqrt().item()


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_the_same_generator_gives_the_same_face(face, scale):
    blind = ef.Blind(scale)
    faces = [pickle.loads(pickle.dumps(blind))(face, ef.generator(3, number)) for number in (0, 1, 0)]
    assert faces[0].shape == (3, 128 // scale, 128 // scale)
    assert torch.equal(faces[0], faces[2]) and not torch.equal(faces[0], faces[1])
    assert all(torch.equal(lr, ef.quantize(lr)) for lr in faces)


def test_a_share_is_left_clean(face):
    plain = ef.Bicubic(4)(face, ef.generator(0))
    clean = sum(torch.equal(ef.Blind(clean=0.3)(face, ef.generator(0, number)), plain) for number in range(200))
    assert 40 <= clean <= 80, "30 % of 200, within three standard deviations"


@pytest.mark.parametrize("part", [{"blur": (2.5, 2.5)}, {"noise": 25.0}, {"quality": (30, 30)}, {"shrink": (8.0, 8.0)}])
def test_each_part_spoils_the_face(face, part):
    least = difference(ef.Blind(**CLEAN | {"shrink": (4.0, 4.0)}), face)
    assert difference(ef.Blind(**CLEAN | {"shrink": (4.0, 4.0)} | part), face) > least + 1


def test_a_blur_is_a_gaussian_of_its_own_width_on_each_axis():
    dot = torch.zeros(3, 41, 41)
    dot[:, 20, 20] = 1
    spot = gaussian(dot, 3.0, 1.5, math.pi / 2)[0]  # its first axis points along y
    assert spot.sum().item() == pytest.approx(1, abs=1e-5)
    steps = torch.arange(41) - 20.0
    along_y, along_x = ((spot.sum(dim) * steps.square()).sum().sqrt().item() for dim in (1, 0))
    assert along_y == pytest.approx(3, abs=0.06) and along_x == pytest.approx(1.5, abs=0.03)


def test_noise_has_the_level_that_it_is_given():
    grey, levels = Image.new("RGB", (200, 200), (128, 128, 128)), []
    for number in range(10):
        noise = 255 * in_tensor(noisy(grey, 10.0, Draw(ef.generator(number)))) - 128
        levels.append(torch.equal(noise[0], noise[1]))
        assert noise.std().item() == pytest.approx(10, rel=0.03)
    assert 0 < sum(levels) < 10, "grey in some, coloured in others"
    few = 255 * in_tensor(noisy(grey.resize((20, 200)), 10.0, Draw(ef.generator(0)))) - 128
    assert few.std().item() == pytest.approx(5, rel=0.1), "half of it in a face of few pixels"


def test_pictures_become_tensors_and_back(face):
    assert torch.equal(in_tensor(to_pil(face)), ef.quantize(face))
    assert resized(to_pil(face), 40.4, 1.0, Draw(ef.generator(0))).size == (40, 4)


def test_it_is_named(face):
    assert ef.degradation_named("blind", 8) == ef.Blind(8)


@pytest.mark.slow
def test_a_loader_keeps_up_with_a_training(face):
    """A step takes a core 30 ms a face, at best: the degradation must take a small part of that."""
    blind, start = ef.Blind(), time.process_time()
    for number in range(100):
        blind(face, ef.generator(0, number))
    assert (time.process_time() - start) / 100 < 0.015
