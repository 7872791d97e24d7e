"""Faces in photographs: found where they are, cut out and put back without a trace."""

import cmath
import math

import pytest
import torch
import torch.nn.functional as F
from conftest import shared
from PIL import Image
from torch import Tensor

from elsface_lite import Box, ElsfaceError, crop_face, downscale, find_faces, paste_face, read_image, restore, upscale
from elsface_lite.data.sources import portraits
from elsface_lite.inference import detector, faces, finder
from elsface_lite.inference.detector import Detection, stages
from elsface_lite.inference.faces import cut_around
from elsface_lite.packages import WeightsMissing


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """The astronaut at 128x128: the face is some 40 pixels wide."""
    return downscale(portraits()["astronaut"][None], 4)[0]


def ramp(height: int, width: int) -> Tensor:
    """A photograph whose red and green tell where a pixel is: x / width, y / height."""
    x = ((torch.arange(width) + 0.5) / width).expand(height, width)
    y = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    return torch.stack([x, y, torch.zeros(height, width)])


def test_the_face_of_each_portrait_is_found_where_it_is(photo: Tensor) -> None:
    (box,) = find_faces(photo)
    # Read off the picture by hand, to a pixel or two: the eyes and the middle of the mouth.
    eyes, mouth = ((51.0 + 61.8) / 2, 25.4), (56.2, 35.2)
    face = crop_face(photo, box)
    for (x, y), expected in ((eyes, (64.0, 48.4)), (mouth, (64.0, 82.3))):
        found = [64 + 128 * part / 2 for part in faces._to_box(torch.tensor(x), torch.tensor(y), box)]
        assert [float(f) for f in found] == pytest.approx(expected, abs=6)
    assert face.shape == (3, 128, 128)
    assert abs(math.degrees(box.angle)) < 6


def test_a_turned_photograph_turns_the_box(photo: Tensor) -> None:
    (upright,) = find_faces(photo)
    image = Image.fromarray((255 * photo).byte().permute(1, 2, 0).numpy()).rotate(-20, Image.Resampling.BICUBIC)
    turned = torch.tensor(list(image.tobytes())).view(128, 128, 3).permute(2, 0, 1) / 255
    (box,) = find_faces(turned)
    assert math.degrees(box.angle - upright.angle) == pytest.approx(20, abs=6)
    assert box.side == pytest.approx(upright.side, rel=0.1)
    assert (crop_face(turned, box) - crop_face(photo, upright)).abs().mean() < 0.08


@pytest.mark.parametrize("angle", range(0, 360, 30))
def test_a_face_at_any_angle_is_found_once(photo: Tensor, angle: int) -> None:
    """Also on its side, where it was missed, or taken for an upright one of two thirds its size."""
    (upright,) = find_faces(photo)
    wide = F.pad(photo[None], [32] * 4, mode="replicate")[0]
    turned = crop_face(wide, Box(96, 96, 192, -math.radians(angle)), 192)
    (box,) = find_faces(turned)
    assert abs(math.remainder(box.angle - upright.angle - math.radians(angle), 2 * math.pi)) < math.radians(12)
    assert box.side == pytest.approx(upright.side, rel=0.15)
    expected = complex(96, 96) + complex(upright.x - 64, upright.y - 64) * cmath.rect(1, math.radians(angle))
    assert abs(complex(box.x, box.y) - expected) < 3


def test_small_faces_of_a_large_photograph_are_found(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one, in little: two looks at the whole see none of them, and they lie across the sides of tiles."""
    monkeypatch.setattr(finder, "LOOKS", (50_000, 100_000))
    monkeypatch.setattr(finder, "TILE", 256)
    whole = torch.full((3, 700, 900), 0.5)
    for number, side in enumerate((22, 26, 32)):
        small = F.interpolate(photo[None], scale_factor=side / 39, mode="bicubic", antialias=True)[0].clamp(0, 1)
        left, top = 256 * (number + 1) - small.shape[2] // 2, 256 * (number % 2 + 1) - small.shape[1] // 2
        whole[:, top : top + small.shape[1], left : left + small.shape[2]] = small
    for image in (whole, whole.rot90(1, (1, 2))):
        assert [box.side for box in find_faces(image)] == pytest.approx([32, 26, 22], rel=0.2)


def test_landmarks_that_disagree_with_the_box_are_no_face() -> None:
    landmarks = torch.tensor([[[47.0, 49], [81, 49], [64, 66], [49, 83], [79, 83]]])
    good = Detection(torch.tensor([[18.0, 18, 110, 110]]), landmarks, torch.ones(1))
    assert len(list(finder._checked(good))) == 1
    for boxes, points in (
        (good.boxes * 2, landmarks),
        (good.boxes + 40, landmarks),
        (good.boxes, landmarks.flip(2)),
        (good.boxes, landmarks + torch.tensor([[[30.0, 0], [0, 0], [0, 0], [0, 0], [0, 0]]])),
        (good.boxes, landmarks * 0),
    ):
        assert not list(finder._checked(Detection(boxes, points, torch.ones(1))))


def test_faces_come_largest_first_and_in_the_pixels_of_the_photograph(photo: Tensor) -> None:
    small = F.pad(downscale(photo[None], 2), [30, 34, 64, 0], mode="replicate")[0]
    boxes = find_faces(torch.cat([small, photo], 2))
    assert len(boxes) == 2
    assert boxes[0].side == pytest.approx(2 * boxes[1].side, rel=0.15)
    assert boxes[0].x > 128 > boxes[1].x


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (7, 9), (24, 24), (100, 100)])
def test_no_face_is_no_box(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    assert find_faces(torch.zeros(3, *size)) == []
    assert find_faces(torch.rand(3, *size)) == []


def test_the_search_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []
    nothing = Detection(torch.empty(0, 4), torch.empty(0, 5, 2), torch.empty(0))
    monkeypatch.setattr(finder, "detect", lambda image, *sizes: searched.append(image.shape) or nothing)
    for size, looks, tiles in (((1800, 2400), 8, 4), ((1, 5_000_000), 8, 3256), ((40, 50), 4, 0)):
        searched.clear()
        find_faces(torch.zeros(3, *size))
        assert len(searched) == looks + 4 * tiles
        assert all(height * width <= 1.5 * finder.LOOKS[1] for _, height, width in searched)
        assert any(h / w == pytest.approx(size[0] / size[1], rel=0.01) for _, h, w in searched) or size[0] == 1
    assert set(searched) == {(3, 80, 100), (3, 100, 80)}


def test_who_looks_for_large_faces_only_has_the_photograph_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to where the smallest face still has as many pixels as the detector looks at."""
    searched = []
    nothing = Detection(torch.empty(0, 4), torch.empty(0, 5, 2), torch.empty(0))
    monkeypatch.setattr(finder, "LOOKS", (10_000, 20_000))
    monkeypatch.setattr(finder, "TILE", 100)
    monkeypatch.setattr(finder, "detect", lambda image, *sizes: searched.append((image.shape, *sizes)) or nothing)
    tiles = []
    for smallest, factor in ((20, 1.0), (66, 24 / 66 * 1.38)):
        searched.clear()
        find_faces(torch.zeros(3, 900, 900), smallest)
        least = {round(low, 9) for _, low, high in searched if high < math.inf}
        assert least == {round(smallest * factor / 1.38, 9)}
        tiles.append(sum(high < math.inf for *_, high in searched))
    assert tiles[1] < tiles[0] / 2


def test_the_detector_sees_a_window_in_the_level_that_has_its_pixels() -> None:
    """Cut out of the photograph, or of a level of the pyramid that is as fine as the window; beyond it all is grey."""
    image = 2 * ramp(300, 400) - 1
    levels = detector._pyramid(image, 12, math.inf)
    assert [level.scale for level in levels[:4]] == pytest.approx([1, 1, 0.5**0.5, 0.5])
    for side, size in ((20, 24), (49, 48), (200, 24)):
        box = torch.tensor([[150.5, 90, 150.5 + side, 90 + side]])
        (window,) = detector._windows(levels, box, size)
        steps = (torch.arange(size) + 0.5) / size * side
        assert torch.allclose(window[0], ((150.5 + steps) / 200 - 1).expand(size, size), atol=2e-2)
        assert torch.allclose(window[1], ((90 + steps) / 150 - 1)[:, None].expand(size, size), atol=2e-2)
    (window,) = detector._windows(levels, torch.tensor([[-24.0, 300, 0, 324]]), 24)
    assert window.abs().max() < 0.6 and not window[:, 1:, :-1].any()


def test_of_windows_side_by_side_the_surest_are_kept() -> None:
    """By rank: one beside a surer one falls, but not where that has fallen itself."""
    scores = torch.full((5, 7), -9.0)
    scores[1, 1:5] = torch.tensor([5.0, 4, 3, 2])  # the third is kept, since the second falls
    scores[4, 6] = 2.0
    rows, columns = detector._peaks(scores)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(1, 1), (1, 3), (4, 6)]
    assert not len(detector._peaks(scores - 9)[0])


def test_blocks_leave_no_trace(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = detector._slide(photo[None])
    monkeypatch.setattr(detector, "BLOCK", 40)
    assert torch.allclose(detector._slide(photo[None]), whole, atol=1e-4)


def test_without_the_detector_the_command_is_said(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A weaker detector in its place would find fewer faces, elsewhere, without a word."""
    stages.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WeightsMissing, match="pip install --no-deps facenet-pytorch"):
        find_faces(photo)
    (result,) = restore(photo)
    assert "face detection needs a pretrained network" in result.error


def test_a_damaged_detector_is_said_and_not_passed_over(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(name: str) -> None:
        raise ElsfaceError(f"{name} is not the published file")

    stages.cache_clear()
    monkeypatch.setattr("elsface_lite.inference.detector.find_file", damaged)
    with pytest.raises(ElsfaceError, match="not the published file"):
        find_faces(photo)


@pytest.mark.slow
def test_the_boxes_are_the_crops_of_celeba() -> None:
    """On aligned crops the box must be the crop itself; the README's figures are those of 1,000."""
    paths = sorted(shared("faces/celeba_train").glob("*.jpg"))[::300]
    errors = []
    for path in paths:
        image = F.pad(read_image(path)[None], [48] * 4, mode="replicate")[0]
        box = find_faces(image)[0]
        errors.append([box.x - 112, box.y - 112, 100 * (box.side / 128 - 1), math.degrees(box.angle)])
    median, spread = torch.tensor(errors).median(0).values, torch.tensor(errors).std(0)
    assert median.abs().tolist() < [1.5, 1.5, 3, 3]
    assert (spread < torch.tensor([4, 4, 10, 10])).all()


@pytest.mark.parametrize("side", [20.0, 64.0, 100.5, 500.0])
@pytest.mark.parametrize("angle", [0.0, 0.3, -1.2])
def test_crop_face_reads_the_places_that_the_box_says(side: float, angle: float) -> None:
    image, size = ramp(700, 900), 32
    box = Box(451.3, 352.6, side, angle)
    face = crop_face(image, box, size)
    steps = ((torch.arange(size) + 0.5) / size - 0.5) * side
    x = box.x + steps * math.cos(angle) - steps[:, None] * math.sin(angle)
    y = box.y + steps * math.sin(angle) + steps[:, None] * math.cos(angle)
    inner = slice(2, -2)  # the antialiasing at the crop's own border looks one pixel in only
    assert (face[0] - x / 900)[inner, inner].abs().max() < 0.1 * side / size / 900 + 1e-5
    assert (face[1] - y / 700)[inner, inner].abs().max() < 0.1 * side / size / 700 + 1e-5


def test_crop_face_of_whole_pixels_is_the_picture_itself(photo: Tensor) -> None:
    assert torch.allclose(crop_face(photo, Box(64, 64, 128), 128), photo, atol=1e-5)
    assert torch.allclose(crop_face(photo, Box(40, 50, 32), 32), photo[:, 34:66, 24:56], atol=1e-5)


@pytest.mark.parametrize("box", [Box(51.3, 60.8, 40.0, 0.4), Box(3, 120, 60.0), Box(-90, -90, 40)])
def test_cut_around_keeps_the_pixels_and_the_place(photo: Tensor, box: Box) -> None:
    part, place = cut_around(photo, box)
    left, top = round(box.x - place.x), round(box.y - place.y)
    assert torch.equal(part, photo[:, top : top + part.shape[1], left : left + part.shape[2]])
    assert (place.side, place.angle) == (box.side, box.angle)
    assert torch.allclose(crop_face(part, place, 64), crop_face(photo, box, 64), atol=1e-5)


def test_crop_face_repeats_the_border(photo: Tensor) -> None:
    face = crop_face(photo, Box(0, 64, 64), 64)
    assert torch.allclose(face[:, 2:-2, :31], face[:, 2:-2, :1].expand(-1, -1, 31), atol=1e-5)
    assert torch.isfinite(crop_face(photo, Box(-500, 900, 300), 64)).all()


@pytest.mark.parametrize("side", [256.0, 300.0])
def test_crop_face_does_not_alias(side: float) -> None:
    checkers = (torch.arange(512)[:, None] + torch.arange(512)) % 2
    face = crop_face(checkers.float().expand(3, -1, -1), Box(256, 256, side, 0.1), 32)
    assert (face - 0.5).abs().max() < 0.02


def test_crop_face_is_as_sharp_as_a_good_resize() -> None:
    image = portraits()["astronaut"]
    box = Box(224, 120, 160)
    expected = F.interpolate(image[None, :, 40:200, 144:304], (32, 32), mode="bicubic", antialias=True)[0]
    difference = (crop_face(image, box, 32) - expected).square().mean()
    assert -10 * math.log10(difference) > 38


@pytest.mark.parametrize("angle", [0.0, 0.4])
@pytest.mark.parametrize("size", [32, 128, 256])
def test_paste_face_puts_back_what_was_cut_and_nothing_else(photo: Tensor, angle: float, size: int) -> None:
    large = upscale(photo[None], 4)[0]
    box = Box(224.8, 118.3, 150.2, angle)
    pasted = paste_face(large.clone(), crop_face(large, box, size), box)
    u, v = faces._to_box(torch.arange(512) + 0.5, torch.arange(512)[:, None] + 0.5, box)
    outside = (u.abs() >= 1) | (v.abs() >= 1)
    assert (pasted == large)[:, outside].all()
    assert (pasted - large).abs().mean() < 0.004


def seam(image: Tensor, box: Box) -> tuple[float, float]:
    """The mean step between neighbouring pixels, in 8-bit levels: across the sides of an upright box, and elsewhere."""
    steps = 255 * (image[:, :, 1:] - image[:, :, :-1]).abs().mean(0)
    top, bottom = (round(box.y + sign * box.side / 2) for sign in (-1, 1))
    columns = [round(box.x + sign * box.side / 2) - 1 for sign in (-1, 1)]
    rows = steps[max(top, 0) : bottom]
    return rows[:, columns].mean().item(), rows.mean().item()


def test_a_face_that_is_hardly_shrunk_keeps_its_detail() -> None:
    """Half a pixel less than it has, which rounding makes of most boxes, is no reason to sample it twice."""
    face, spread = torch.rand(3, 128, 128, generator=torch.Generator().manual_seed(0)), {}
    for side in (128.0, 127.4):
        photograph = paste_face(torch.full((3, 200, 200), 0.5), face, Box(100.0, 100.0, side, 0.0))
        spread[side] = photograph[:, 70:130, 70:130].std()
    assert spread[127.4] > 0.9 * spread[128.0]


def test_there_is_no_seam_even_around_a_face_of_another_color(photo: Tensor) -> None:
    large = upscale(photo[None], 4)[0]
    box = Box(225, 125, 150)
    face = crop_face(portraits()["astronaut"], box)
    brighter = (0.8 * face + 0.2).clamp(0, 1)
    pasted = paste_face(large.clone(), brighter, box)
    at_seam, elsewhere = seam(pasted, box)
    untouched, _ = seam(large, box)
    print(f"step at the seam {at_seam:.2f}, there before {untouched:.2f}, elsewhere {elsewhere:.2f} levels")
    assert at_seam < 1.1 * untouched + 0.1
    hard = large.clone()
    hard[:, 50:200, 150:300] = F.interpolate(brighter[None], (150, 150), mode="bicubic")[0]
    assert seam(hard, box)[0] > 2 * untouched  # the measure does see a seam
    inner = (slice(None), slice(90, 160), slice(190, 260))
    assert (pasted - large)[inner].mean((1, 2)).abs().max() < 0.01  # brightness is the photograph's
    detail = F.interpolate(face[None], (150, 150), mode="bicubic")[0][:, 40:110, 40:110]
    assert (pasted[inner] - detail).square().mean() < 0.7 * (large[inner] - detail).square().mean()


def test_paste_face_beyond_the_border(photo: Tensor) -> None:
    for box in (Box(5, 5, 60), Box(127, 60, 300, 1.0), Box(-90, -90, 40)):
        pasted = paste_face(photo.clone(), torch.rand(3, 128, 128), box)
        assert pasted.shape == photo.shape
        assert 0 <= pasted.min() <= pasted.max() <= 1
