"""LR/HR pairs: the bicubic everybody reports, centre crops that do not stretch, people that are not in both splits."""

import math
import pickle
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import shared
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from elsface_lite.data import pairs as module
from elsface_lite.data.degradation import Bicubic, downscale, generator, quantize, upscale
from elsface_lite.data.named import degradation_named
from elsface_lite.data.pairs import FacePairs, center_crop, load_face, load_faces, split_by_person
from elsface_lite.errors import ElsfaceError


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    skimage_data = pytest.importorskip("skimage.data")
    return Image.fromarray(skimage_data.astronaut()).crop((160, 30, 288, 158))


def tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def psnr(first: Tensor, second: Tensor) -> float:
    return -10 * math.log10((first - second).square().mean().item())


def save(folder, name, array) -> str:
    path = folder / name
    Image.fromarray(array).save(path)
    return path


def test_bicubic_baseline_is_the_published_one(astronaut):
    hr = tensor(astronaut)
    pillow = astronaut.resize((32, 32), Image.Resampling.BICUBIC).resize((128, 128), Image.Resampling.BICUBIC)
    assert psnr(tensor(pillow), hr) == pytest.approx(25.153, abs=0.001)
    # Ours rounds once, Pillow after each of its two passes: 0.003 dB.
    assert psnr(upscale(downscale(hr, 4), 4), hr) == pytest.approx(25.153, abs=0.005)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_lr_is_pillows_within_one_step_of_8_bits(astronaut, scale):
    side = 128 // scale
    pillow = tensor(astronaut.resize((side, side), Image.Resampling.BICUBIC))
    steps = 255 * (downscale(tensor(astronaut), scale) - pillow).abs()
    assert steps.max() < 1.01
    assert steps.mean() < 0.15


def test_antialiasing_matters_by_27_db(astronaut):
    hr = tensor(astronaut)
    aliased = quantize(F.interpolate(hr, (32, 32), mode="bicubic", antialias=False))  # the kernel and grid of OpenCV
    assert psnr(aliased, downscale(hr, 4)) == pytest.approx(27.5, abs=0.5)
    assert psnr(upscale(aliased, 4), hr) < psnr(upscale(downscale(hr, 4), 4), hr) - 0.5


def test_lr_holds_8_bit_values_only():
    lr = downscale(torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0)), 4)
    assert lr.shape == (2, 3, 4, 6)
    assert torch.equal(lr, (255 * lr).round() / 255)
    assert lr.min() >= 0 and lr.max() <= 1


@pytest.mark.parametrize("scale", [2, 3, 4, 5])
def test_one_image_and_a_batch_of_it_come_out_alike(scale):
    image = torch.rand(3, 60, 120, generator=torch.Generator().manual_seed(0))
    for function in (downscale, upscale, center_crop):
        assert torch.equal(function(image, scale)[None], function(image[None], scale))
    assert downscale(image, scale).shape == (3, 60 // scale, 120 // scale)
    assert upscale(image, scale).shape == (3, 60 * scale, 120 * scale)
    assert torch.equal(Bicubic(scale)(image), downscale(image, scale))


def test_bicubic_is_equal_to_another_of_its_scale():
    assert Bicubic() == Bicubic(4) != Bicubic(3)
    assert repr(Bicubic(3)) == "Bicubic(scale=3)" and pickle.loads(pickle.dumps(Bicubic(3))) == Bicubic(3)


def test_degradations_have_names():
    assert degradation_named("bicubic", 3) == Bicubic(3)
    with pytest.raises(
        ElsfaceError, match=r"no degradation 'bicubik' \(did you mean bicubic\?\): choose bicubic, blind"
    ):
        degradation_named("bicubik", 4)


def test_a_generator_depends_on_its_key_alone():
    torch.manual_seed(5)
    first = torch.rand(3, generator=generator(7, 1, 2))
    assert torch.equal(torch.rand(3, generator=generator(7, 1, 2)), first)
    assert all(
        not torch.equal(torch.rand(3, generator=generator(*key)), first) for key in [(7, 1, 3), (7, 1), (8, 1, 2)]
    )
    # Written down: a resumed training has to see what the interrupted one would have seen.
    assert generator(0, 1, 2).initial_seed() == 1535930435702422785


def test_quantize_clamps_and_rounds():
    assert torch.equal(
        quantize(torch.tensor([-0.2, 0.0, 0.4 / 255, 0.6 / 255, 1.3])) * 255, torch.tensor([0.0, 0, 0, 1, 255])
    )


def test_downscale_refuses_a_size_that_does_not_divide():
    with pytest.raises(ValueError, match=r"30x32.*crop"):
        downscale(torch.zeros(1, 3, 30, 32), 4)


@pytest.mark.parametrize(("height", "width"), [(218, 178), (178, 218), (128, 128), (90, 300)])
def test_centre_crop_is_the_centred_square_resized_once(height, width):
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[None, :, top : top + side, left : left + side]
    expected = quantize(F.interpolate(square, (64, 64), mode="bicubic", antialias=True))[0]
    assert torch.equal(center_crop(image, 64), expected)


def test_centre_crop_keeps_circles_round():
    y, x = torch.meshgrid(torch.arange(218.0), torch.arange(178.0), indexing="ij")
    disc = ((y - 108.5) ** 2 + (x - 88.5) ** 2 < 60**2).float().expand(3, -1, -1)
    inside = center_crop(disc, 128)[0] > 0.5
    height, width = inside.any(1).sum(), inside.any(0).sum()
    assert height == width == round(120 * 128 / 178)
    stretched = F.interpolate(disc[None], (128, 128), mode="bicubic", antialias=True)[0, 0] > 0.5
    assert stretched.any(0).sum() - stretched.any(1).sum() > 10


def test_centre_crop_of_the_right_size_changes_nothing():
    image = torch.rand(2, 3, 140, 128)
    assert torch.equal(center_crop(image, 128), image[..., 6:134, :])


def test_centre_crop_stays_in_range_and_takes_any_leading_axes():
    noise = torch.randint(2, (2, 5, 4, 33, 20)).float()
    small = center_crop(noise, 16)
    assert small.shape == (2, 5, 4, 16, 16)
    assert small.min() >= 0 and small.max() <= 1
    assert center_crop(torch.ones(3, 1, 1), 8).eq(1).all()


def test_pairs_are_the_degradation_of_the_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (218, 178, 3), dtype=np.uint8)
    pairs = FacePairs([save(tmp_path, "a.png", pixels)], scale=4)
    lr, hr = pairs[0]
    assert lr.shape == (3, 32, 32) and hr.shape == (3, 128, 128)
    assert lr.dtype == hr.dtype == torch.float32
    crop = torch.from_numpy(pixels[20:198]).permute(2, 0, 1)[None].float() / 255
    assert torch.equal(hr, quantize(F.interpolate(crop, (128, 128), mode="bicubic", antialias=True))[0])
    assert torch.equal(lr, downscale(hr[None], 4)[0])


def test_a_file_of_the_right_size_comes_through_unchanged(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    path = save(tmp_path, "a.png", pixels)
    assert np.array_equal(load_face(path, 128).permute(1, 2, 0).numpy(), pixels)
    assert np.array_equal(255 * FacePairs([path], 8)[0][1].permute(1, 2, 0).numpy(), pixels)


def test_pairs_decode_once(tmp_path, monkeypatch):
    paths = [save(tmp_path, f"{i}.png", np.full((8, 8, 3), i, np.uint8)) for i in range(3)]
    pairs = FacePairs(paths, 2, size=8)
    read = []
    monkeypatch.setattr(
        module, "read_image", lambda path, original=module.read_image: read.append(path) or original(path)
    )
    assert [round(255 * pairs[i][1].mean().item()) for i in (0, 1, 0, 1, 0)] == [0, 1, 0, 1, 0]
    assert read == paths[:2]
    assert pairs.kept[0].dtype == torch.uint8


def test_pairs_keep_no_more_than_their_memory(tmp_path, monkeypatch):
    paths = [save(tmp_path, f"{i}.png", np.full((8, 8, 3), i, np.uint8)) for i in range(4)]
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * 3 * 8 * 8)
    pairs = FacePairs(paths, 2, size=8)
    assert [round(255 * pairs[i][1].mean().item()) for i in (3, 2, 1, 0, 3)] == [3, 2, 1, 0, 3]
    assert sorted(pairs.kept) == [2, 3]


def test_pairs_fill_a_data_loader(tmp_path):
    paths = [save(tmp_path, f"{i}.png", np.full((20, 12, 3), 50 * i, np.uint8)) for i in range(4)]
    (lr, hr), *rest = DataLoader(FacePairs(paths, 4, size=8), batch_size=3)
    assert lr.shape == (3, 3, 2, 2) and hr.shape == (3, 3, 8, 8) and len(rest) == 1
    assert len(list(FacePairs(paths, 4, size=8))) == 4


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "notes.jpg").write_text("no picture", encoding="utf-8")
    with pytest.raises(ElsfaceError, match=r"notes\.jpg"):
        FacePairs([tmp_path / "notes.jpg"], 4)[0]
    with pytest.raises(ElsfaceError, match=r"gone\.png"):
        load_faces([tmp_path / "gone.png"], 8)


@pytest.mark.parametrize(
    ("paths", "scale", "message"),
    [([], 4, "empty"), (["a.png"], 3, "scale 3 .*such as 126"), (["a.png"], 0, "scale 0")],
)
def test_pairs_that_cannot_be_are_refused(paths, scale, message):
    with pytest.raises(ElsfaceError, match=message):
        FacePairs(paths, scale)


def test_a_picture_smaller_than_the_hr_size_is_refused_by_name(tmp_path):
    path = save(tmp_path, "a.png", np.zeros((40, 100, 3), np.uint8))
    for read in (lambda: load_face(path, 64), lambda: load_faces([path], 64), lambda: FacePairs([path], 4, 64)[0]):
        with pytest.raises(ElsfaceError, match=r"a\.png has 100x40 pixels, too few for .* 64x64: .*enlarge=True"):
            read()
    assert load_face(path, 64, enlarge=True).shape == (3, 64, 64)
    assert FacePairs([path], 4, 64, enlarge=True)[0][1].shape == (3, 64, 64)
    assert load_face(path, 40).shape == (3, 40, 40)


def test_small_pictures_are_not_taken_for_hr_faces_in_silence():
    paths = sorted(shared("cases/train/tiny20").iterdir())
    with pytest.raises(ElsfaceError, match="32x32 pixels, too few"):
        FacePairs(paths)[0]


def noisy(hr: Tensor, generator: torch.Generator) -> Tensor:
    lr = downscale(hr, 4)
    return (lr + 0.1 * torch.randn(lr.shape, generator=generator)).clamp(0, 1)


def loaded(pairs: FacePairs, **options) -> list[Tensor]:
    return [lr for batch, _ in DataLoader(pairs, 2, **options) for lr in batch]


@pytest.fixture
def two(tmp_path) -> list[str]:
    random = np.random.default_rng(0)
    return [save(tmp_path, f"{i}.png", random.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for i in range(2)]


@pytest.mark.slow
def test_ones_own_degradation_is_the_same_for_every_access_and_in_every_worker(two):
    pairs = FacePairs(two, 4, 16, degradation=noisy, seed=3)
    first = [pairs[i][0] for i in range(2)]
    torch.manual_seed(1)
    assert all(torch.equal(pairs[i][0], first[i]) for i in (1, 0))
    assert torch.equal(pairs[-1][0], first[1])
    assert not torch.equal(FacePairs(two, 4, 16, degradation=noisy, seed=4)[0][0], first[0])
    for options in (dict(), dict(num_workers=2), dict(num_workers=1, multiprocessing_context="spawn")):
        assert all(torch.equal(a, b) for a, b in zip(loaded(pairs, **options), first, strict=True)), options
    assert pairs.kept and not pickle.loads(pickle.dumps(pairs)).kept


def test_a_pair_depends_on_its_key(two):
    pairs = FacePairs(two, 4, 16, degradation=noisy)
    hr = pairs.hr(0)
    assert torch.equal(pairs.pair(hr, 0)[0], pairs[0][0]) and torch.equal(pairs.pair(hr, 0)[1], hr)
    assert torch.equal(pairs.pair(hr, 5, 1)[0], pairs.pair(hr, 5, 1)[0])
    assert not torch.equal(pairs.pair(hr, 5, 1)[0], pairs.pair(hr, 5, 2)[0])


def test_a_degradation_of_another_scale_is_named(two):
    with pytest.raises(ElsfaceError, match=r"Bicubic\(scale=2\) made .*\(3, 8, 8\).*scale 4.*\(3, 4, 4\)"):
        FacePairs(two, 4, 16, degradation=Bicubic(2))[0]


def test_times_three(two):
    lr, hr = FacePairs(two, scale=3, size=15)[1]
    assert lr.shape == (3, 5, 5) and hr.shape == (3, 15, 15)


def test_load_faces_stacks_in_order(tmp_path):
    paths = [save(tmp_path, f"{i}.png", np.full((9, 7, 3), i, np.uint8)) for i in (5, 3)]
    faces = load_faces(paths, 6)
    assert faces.dtype == torch.uint8 and faces.shape == (2, 3, 6, 6)
    assert faces[:, 0, 0, 0].tolist() == [5, 3]
    with pytest.raises(ElsfaceError, match="empty"):
        load_faces([], 6)


PEOPLE = [f"person {i % 40}" for i in range(400)]


def test_a_split_holds_out_whole_people():
    train, validation = split_by_person(PEOPLE, held_out=8, seed=0)
    assert sorted(train + validation) == list(range(400))
    assert len(validation) == 80
    assert not {PEOPLE[i] for i in train} & {PEOPLE[i] for i in validation}


def test_a_split_is_the_same_whatever_the_order_of_the_files():
    held = {PEOPLE[i] for i in split_by_person(PEOPLE, 8, 0)[1]}
    shuffled = random.Random(3).sample(PEOPLE, len(PEOPLE))
    assert {shuffled[i] for i in split_by_person(shuffled, 8, 0)[1]} == held
    assert {PEOPLE[i] for i in split_by_person(PEOPLE, 8, 1)[1]} != held
    # Written down, so that no version of Python or of this module splits differently unnoticed.
    assert held == {f"person {i}" for i in (5, 24, 25, 27, 31, 35, 37, 39)}


@pytest.mark.parametrize("held_out", [0, -1, 40, 41])
def test_a_split_needs_people_on_both_sides(held_out):
    with pytest.raises(ElsfaceError, match="1 to 39"):
        split_by_person(PEOPLE, held_out, 0)
