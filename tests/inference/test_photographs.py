"""Photographs in files: out as in, nothing but the faces changes; folders mirrored, and none done twice."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, shared
from PIL import Image
from torch import Tensor

import elsface_lite as ef
from elsface_lite import Box, ELSFace, ELSFaceConfig, ElsfaceError, downscale, portraits, read_photograph, restore
from elsface_lite.data import photograph
from elsface_lite.inference import work
from elsface_lite.inference.faces import _to_box
from elsface_lite.inference.lists import read_faces, write_faces
from elsface_lite.inference.output import LONGEST, RECORD

FACE = downscale(portraits()["astronaut"][None], 4)[0]
RGB = (255 * FACE).round().byte().permute(1, 2, 0).contiguous().numpy()
BOX = Box(56, 30, 39)


@pytest.fixture(scope="module")
def model() -> ELSFace:
    torch.manual_seed(0)
    return ELSFace(ELSFaceConfig.lite(channels=8, heads=2, hfebs=1, hfeb_blocks=1, out_channels=4)).eval()


def save(path: Path, array: np.ndarray = RGB, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def written(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)
    return sorted(path.relative_to(folder).as_posix() for path in files)


def outside(size: tuple[int, int], boxes: list[Box]) -> Tensor:
    x, y = torch.arange(size[1]) + 0.5, torch.arange(size[0])[:, None] + 0.5
    inside = [(u.abs() < 1) & (v.abs() < 1) for u, v in (_to_box(x, y, box) for box in boxes)]
    return ~torch.stack(inside).any(0)


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_nothing_but_the_faces_changes(model: ELSFace, tmp_path: Path, mode: str, scale: int) -> None:
    """Not one 8-bit value outside of the boxes, but by the enlargement; grey stays grey, what is clear stays clear."""
    picture = Image.fromarray(RGB).convert(mode)
    if "A" in mode:
        picture.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 128).astype(np.uint8), (128, 1)).T.copy()))
    picture.save(tmp_path / "a.png")
    (result,) = restore(
        tmp_path / "a.png", weights=model, paste=True, scale=scale, out=tmp_path / "out", faces={"a.png": [BOX]}
    )
    after, before = read_photograph(result.files[0]), read_photograph(tmp_path / "a.png").enlarged(scale)
    rest = outside(after.size, [BOX.scaled(scale)])
    assert torch.equal(after.pixels[:, rest], before.pixels[:, rest]) and 0.8 < rest.float().mean() < 0.95
    assert after.pixels.shape == before.pixels.shape
    changed = (after.pixels != before.pixels).any(0)
    if "A" in mode:
        assert torch.equal(after.alpha, before.alpha) and not changed[before.alpha < 255].any()
    else:
        assert changed[~rest].float().mean() > 0.3


def test_date_rights_and_colours_stay(model: ELSFace, tmp_path: Path) -> None:
    with Image.open(shared("cases/icc_adobe.jpg")) as image:
        profile = image.info["icc_profile"]
    exif = Image.Exif()
    exif[0x0132], exif[0x8298], exif[0x0112] = "2001:02:03 04:05:06", "(c) me", 3
    save(tmp_path / "in" / "a.JPG", RGB[::-1, ::-1].copy(), icc_profile=profile, exif=exif, quality=95)
    for paste in (True, False):
        (result,) = restore(tmp_path / "in", weights=model, paste=paste, out=tmp_path / "out")
        assert [file.name for file in result.files] == ["a.JPG"]
        with Image.open(result.files[0]) as image:
            assert image.format == "JPEG" and image.info["icc_profile"] == profile
            assert dict(image.getexif()) == {0x0132: "2001:02:03 04:05:06", 0x8298: "(c) me"}
    boxes = result.boxes
    assert abs(boxes[0].angle) < 0.2 and boxes[0].y < 64  # it was turned upright


def test_a_face_of_a_wide_gamut_keeps_its_colours(model: ELSFace) -> None:
    """The mean of what was pasted is that of the photograph, in its own colours: 5 levels off without conversion."""
    photo = read_photograph(shared("cases/icc_adobe.jpg"))
    (result,) = restore(shared("cases/icc_adobe.jpg"), weights=model, paste=True, scale=1)
    assert photo.profile
    assert 255 * (result.image.mean((1, 2)) - photo.rgb().mean((1, 2))).abs().max() < 1


def test_the_format_and_the_quality_are_what_is_asked_for(model: ELSFace, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    sizes = []
    for quality in (20, 95):
        (result,) = restore(
            tmp_path / "a.png", weights=model, paste=True, format="JPEG", quality=quality, out=tmp_path / f"{quality}"
        )
        assert result.files == [tmp_path / f"{quality}" / "a.jpg"]
        sizes.append(result.files[0].stat().st_size)
    assert sizes[0] < sizes[1] / 2


@pytest.mark.parametrize(
    ("name", "saved", "made"),
    [
        ("a.jfif", "JPEG", "a.jfif"), ("a.jpg_large", "JPEG", "a.jpg"), ("a.tga", "TGA", "a.tga"),
        ("a.jp2", "JPEG2000", "a.jp2"), ("a.gif", "GIF", "a.png"), ("a.webp", "WEBP", "a.webp"),
        ("a", "PNG", "a.png"), ("a.avif", "AVIF", "a.avif"),
    ],
)  # fmt: skip
def test_a_folder_gives_every_kind_of_picture(model: ELSFace, tmp_path: Path, name: str, saved: str, made: str) -> None:
    """Found by its name or its content, and written as it came."""
    save(tmp_path / "in" / name, format=saved)
    (tmp_path / "in" / "notes.txt").write_text("no picture", encoding="utf-8")
    (tmp_path / "in" / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(99))
    results = restore(tmp_path / "in", weights=model, lr=True, out=tmp_path / "out")
    assert len(results) == 1 and results.passed_over == {".txt": 1, ".mp4": 1}
    assert results[0].error is None and written(tmp_path / "out") == [made]


def test_the_tree_is_mirrored_and_no_two_inputs_meet(model: ELSFace, tmp_path: Path) -> None:
    """Not in one call, nor in two, nor in capital letters."""
    for place in ("2018/IMG_1.png", "2019/IMG_1.png", "2019/img_1.PNG", "2019/deep/IMG_1.jpg"):
        save(tmp_path / "in" / place)
    out = tmp_path / "out"
    restore(tmp_path / "in", weights=model, lr=True, out=out)
    assert written(out) == ["2018/IMG_1.png", "2019/IMG_1.png", "2019/deep/IMG_1.jpg", "2019/img_1-2.PNG"]
    one, two, three = (tmp_path / "in" / place for place in ("2018", "2019", "2018"))
    for folder in (one, two, three):
        restore(folder, weights=model, lr=True, out=tmp_path / "flat")
    assert written(tmp_path / "flat") == ["IMG_1-2.png", "IMG_1.png", "deep/IMG_1.jpg", "img_1-3.PNG"]


def test_resume_goes_by_path_size_and_time(model: ELSFace, tmp_path: Path) -> None:
    """Row 2: a picture that comes later is done, none is done twice, one that has changed is done again, and so are all
    that were done in another way."""
    folder, out = tmp_path / "in", tmp_path / "out"
    save(folder / "a.jpg")
    restore(folder, weights=model, lr=True, out=out, format="PNG")
    save(folder / "a.bmp")

    def again(**others: float) -> list[tuple[str, bool, list[str]]]:
        results = restore(folder, weights=model, lr=True, out=out, resume=True, format="PNG", **others)
        return [(Path(r.source).name, r.kept, [file.name for file in r.files]) for r in results]

    assert again() == [("a.bmp", False, ["a-2.png"]), ("a.jpg", True, ["a.png"])]
    assert again() == [("a.bmp", True, ["a-2.png"]), ("a.jpg", True, ["a.png"])]
    os.utime(folder / "a.jpg", ns=(1, 1))
    assert again() == [("a.bmp", True, ["a-2.png"]), ("a.jpg", False, ["a.png"])]
    (out / "a-2.png").unlink()
    assert again() == [("a.bmp", False, ["a-2.png"]), ("a.jpg", True, ["a.png"])]
    for kept in (False, True):
        assert again(strength=0.5) == [("a.bmp", kept, ["a-2.png"]), ("a.jpg", kept, ["a.png"])]


def test_a_record_that_is_damaged_costs_no_more_than_its_lines(model: ELSFace, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / "in" / name)
    restore(tmp_path / "in", weights=model, lr=True, out=tmp_path / "out")
    record = tmp_path / "out" / RECORD
    lines = record.read_text(encoding="utf-8").splitlines()
    record.write_bytes(lines[0].encode() + b"\n[1, 2]\nnull\n{}\n\xff\xfe\n" + lines[1].encode()[:-9])
    results = restore(tmp_path / "in", weights=model, lr=True, out=tmp_path / "out", resume=True)
    assert [result.kept for result in results] == [True, False] and written(tmp_path / "out") == ["a.png", "b.png"]


def test_results_within_the_input_folder_are_no_inputs(model: ELSFace, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    for _ in range(2):
        results = restore(tmp_path, weights=model, lr=True, out=tmp_path / "restored")
        assert [Path(result.source).name for result in results] == ["a.png"]


def test_long_names_are_shortened(model: ELSFace, tmp_path: Path) -> None:
    """Row 19: four faces and a stem of 250 bytes, of letters of two bytes each."""
    path = save(tmp_path / f"{'ä' * 124}.png", np.concatenate([np.concatenate([RGB, RGB], 1)] * 2))
    boxes = [BOX.moved(x, y) for x in (0, 128) for y in (0, 128)]
    (result,) = restore(path, weights=model, out=tmp_path / "out", faces={path.name: boxes})
    assert result.error is None and len(result.files) == 4
    assert all(len(file.name.encode()) <= LONGEST + 20 and file.is_file() for file in result.files)


def test_twelve_bits_in_sixteen_are_said(model: ELSFace, tmp_path: Path) -> None:
    save(tmp_path / "a.png", RGB[..., 0].astype(np.uint16) * 16)
    (result,) = restore(tmp_path / "a.png", weights=model, lr=True)
    assert result.note == "read as 12 bits, which its values take" and result.image.mean() > 0.2


@pytest.mark.parametrize("form", ["PIL", "array", "grey array", "floats", "tensor of bytes", "batch", "file"])
def test_pictures_come_in_any_form(model: ELSFace, tmp_path: Path, form: str) -> None:
    forms = {
        "PIL": Image.fromarray(RGB), "array": RGB, "grey array": RGB[..., 0], "floats": RGB.astype(np.float64) / 255,
        "tensor of bytes": torch.from_numpy(RGB).permute(2, 0, 1), "batch": FACE[None].repeat(2, 1, 1, 1),
        "file": save(tmp_path / "a.png").open("rb"),
    }  # fmt: skip
    results = restore(forms[form], weights=model, faces={f"picture {n}": [BOX] for n in (1, 2)})
    assert len(results) == (2 if form == "batch" else 1) and not any(result.error for result in results)
    (expected,) = restore(FACE, weights=model, faces={"picture 1": [BOX]})
    if form != "grey array":
        assert torch.allclose(results[0].image, expected.image, atol=1e-5)


def test_the_small_functions_take_any_form(model: ELSFace) -> None:
    image = Image.fromarray(RGB)
    (box,) = ef.find_faces(FACE)
    assert ef.find_faces(image) == ef.find_faces(RGB) == [box] and len(ef.detect(image, 10).boxes) == 1
    assert torch.equal(ef.crop_face(image, box, 32), ef.crop_face(FACE, box, 32))
    assert torch.equal(ef.cut_around(RGB, box)[0], ef.cut_around(FACE, box)[0])
    assert torch.equal(ef.super_resolve([image], model)[0], ef.super_resolve(FACE[None], model)[0])
    face = ef.crop_face(FACE, box, 64)
    assert torch.equal(ef.paste_face(image, face, box), ef.paste_face(FACE.clone(), face, box))


@pytest.mark.slow
def test_a_photograph_of_more_than_a_hundred_megapixels(model: ELSFace, tmp_path: Path) -> None:
    """Grey, so that it takes a third of the time; its face, in the far corner, is given: no search."""
    grey = np.full((9_000, 12_000), 120, np.uint8)
    large = Image.fromarray(RGB).convert("L").resize((384, 384), Image.Resampling.BICUBIC)
    grey[8_600:8_984, 11_600:11_984] = np.asarray(large)
    save(tmp_path / "large.png", grey, compress_level=1)
    faces = {"large.png": [ef.find_faces(np.asarray(large))[0].moved(11_600, 8_600)]}
    (result,) = restore(tmp_path / "large.png", weights=model, paste=True, scale=1, out=tmp_path / "out", faces=faces)
    assert result.error is None and len(result.faces) == 1
    after = np.asarray(Image.open(result.files[0]))
    changed = np.argwhere(after != grey)
    assert after.shape == grey.shape and changed.min(0)[0] > 8_500 and changed.min(0)[1] > 11_500


def test_too_large_a_scale_is_one_line(model: ELSFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.png")
    monkeypatch.setattr(work, "MAX_PHOTOGRAPH", 128 * 128 * 9)
    (result,) = restore(tmp_path / "a.png", weights=model, paste=True, scale=3)
    assert "has 0 megapixels or more at scale 3" in result.error
    assert restore(tmp_path / "a.png", weights=model, paste=True, scale=2)[0].error is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"scale": 2}, "give paste as well"), ({"scale": 9, "paste": True}, "1 to 8"), ({"strength": 1.5}, "0 to 1"),
        ({"strength": float("nan")}, "0 to 1"), ({"smallest": 5}, "10 pixels or more"),
        ({"format": "EPS"}, "one of JPEG"), ({"quality": 101}, "1 to 100"),
        ({"weights": "mine.onnx"}, "say --runtime onnx"),
        ({"device": "privateuseone:0"}, "the device 'privateuseone:0' cannot be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(options: dict, says: str) -> None:
    with pytest.raises(ElsfaceError, match=says):
        restore(FACE, **options)


def test_lists_of_faces_go_out_and_in(model: ELSFace, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (found,) = restore(tmp_path / "a.png", weights=model)
    write_faces(tmp_path / "faces.json", [found])
    faces = read_faces(tmp_path / "faces.json")
    assert faces == {str(tmp_path / "a.png"): found.boxes}
    (again,) = restore(tmp_path / "a.png", weights=model, faces=faces)
    assert torch.equal(again.image, found.image) and again.smallest is None
    (missing,) = restore(FACE, weights=model, faces=faces)
    assert "picture 1 has no face in the list" in missing.error


def test_lists_of_other_detectors(tmp_path: Path) -> None:
    """Their tight boxes, and landmarks: both lie where ours does."""
    (ours,) = ef.find_faces(FACE)
    found = ef.detect(FACE, 10)
    forms = [{"box": found.boxes[0].tolist()}, {"landmarks": found.landmarks[0].tolist()}]
    (tmp_path / "faces.json").write_text(f'{{"a": {forms}}}'.replace("'", '"'), encoding="utf-8")
    for box in read_faces(tmp_path / "faces.json")["a"]:
        assert abs(box.x - ours.x) < 4 and abs(box.y - ours.y) < 4 and 0.8 < box.side / ours.side < 1.25


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": 5}', '{"a": [{"box": [1, 2]}]}', '{"a": [{"x": 1, "y": 2, "side": NaN}]}', '{"a": ["b"]}']
)
def test_what_is_no_list_of_faces_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "faces.json").write_text(text, encoding="utf-8")
    with pytest.raises(ElsfaceError, match="is no list of faces") as error:
        read_faces(tmp_path / "faces.json")
    assert "\n" not in str(error.value)


def test_memory_of_a_large_photograph_is_that_of_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of it becomes floats that is larger than a band, a tile or a face."""
    largest = 0

    def floats(values: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, values.numel())
        return before(values)

    before = photograph.in_floats
    monkeypatch.setattr(photograph, "in_floats", floats)
    photo = ef.Photograph(torch.full((3, 3000, 5000), 120, dtype=torch.uint8))
    work.search(photo, 40)
    assert 0 < largest <= 3 * 4_010_000


def test_the_page_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "photographs.md").read_text(encoding="utf-8")
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    names = re.findall(r"`(test_\w+)`", page)
    assert len(names) > 20 and not [name for name in names if f"def {name}(" not in tests]


def test_what_a_file_cannot_hold_is_said(model: ELSFace, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0132] = "2001:02:03 04:05:06"
    save(tmp_path / "in" / "a.jpg", RGB, exif=exif, xmp=b"<x/>", quality=95)
    for kind, says in (("BMP", "not in the BMP: date and camera, XMP"), ("PNG", None)):
        (result,) = restore(tmp_path / "in", weights=model, lr=True, out=tmp_path / kind, format=kind)
        assert result.note == says
