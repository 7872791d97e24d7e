"""From inputs of every kind to restored faces: names, batches, pasting, and one bad file among good ones."""

import time
import weakref
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elsface_lite import (
    ELSFace,
    ELSFaceConfig,
    ElsfaceError,
    Photograph,
    as_photograph,
    crop_face,
    downscale,
    find_faces,
    load_pretrained,
    quantize,
    read_image,
    restore,
    save_pretrained,
    super_resolve,
    upscale,
    write_png,
)
from elsface_lite.data.blind import Blind
from elsface_lite.data.degradation import generator, resize
from elsface_lite.data.sources import portraits
from elsface_lite.inference import judge, work
from elsface_lite.inference import restore as module
from elsface_lite.inference.box import Box
from elsface_lite.inference.faces import _to_box, cut_around
from elsface_lite.inference.judge import halved
from elsface_lite.inference.output import RECORD
from elsface_lite.inference.super_resolve import super_resolve_again
from elsface_lite.metrics.image import lpips, psnr

TINY = {"channels": 8, "heads": 2, "hfebs": 1, "hfeb_blocks": 1, "out_channels": 4}


@pytest.fixture(scope="module")
def model() -> ELSFace:
    torch.manual_seed(0)
    return ELSFace(ELSFaceConfig.lite(**TINY)).eval()


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """The astronaut at 128x128: one face of some 40 pixels."""
    return downscale(portraits()["astronaut"][None], 4)[0]


@pytest.fixture(scope="module")
def group(photo: Tensor) -> Tensor:
    """Two photographs side by side: two faces."""
    return torch.cat([photo, photo.flip(2)], 2)


class Failing(nn.Module):
    """A network that raises at its nth call, or for a batch that is too large."""

    def __init__(self, model: ELSFace, error: type[BaseException], call: int = 0, limit: int = 999) -> None:
        super().__init__()
        self.model, self.config, self.error = model, model.config, error
        self.calls, self.call, self.limit = 0, call, limit

    def forward(self, lr: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.call or len(lr) > self.limit:
            raise self.error
        return self.model(lr)


def names(folder: Path) -> list[str]:
    """Of what was written, without the record."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.name != RECORD)


def as_model(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> Failing:
    monkeypatch.setattr(module, "load_pretrained", lambda name, sharpness: failing)
    monkeypatch.setattr(module, "optimize", lambda network: network)
    return failing


def test_an_lr_face_goes_straight_through_the_network(model: ELSFace) -> None:
    lr = quantize(torch.rand(3, 32, 32))
    (result,) = restore(lr, weights=model, lr=True)
    assert torch.allclose(result.image, model(lr[None])[0].clamp(0, 1), atol=1e-6)
    assert (result.source, result.error, result.boxes, result.files) == ("picture 1", None, [], [])
    assert not result.image.requires_grad
    assert not result.image.is_inference()


def test_faces_of_any_sizes_keep_their_order_in_batches(model: ELSFace, lanes: int) -> None:
    faces = [torch.rand(3, *size) for size in [(32, 32), (16, 24), (32, 32), (9, 8), (16, 24), (32, 32)]]
    results = restore(faces, weights=model, lr=True, batch_size=4)
    assert [result.source for result in results] == [f"picture {n}" for n in range(1, 7)]
    for face, result in zip(faces, results, strict=True):
        assert torch.allclose(result.image, model(face[None])[0].clamp(0, 1), atol=1e-5)
    stacked = restore(torch.stack([faces[0], faces[2]]), weights=model, lr=True)
    assert torch.allclose(stacked[1].image, results[2].image, atol=1e-5)


def test_a_photographs_face_is_restored_at_its_own_size(model: ELSFace, photo: Tensor) -> None:
    (result,) = restore(photo, weights=model)
    (box,) = find_faces(photo)
    assert result.boxes == [box]
    part, place = cut_around(photo, box)
    expected = crop_face(model(part[None])[0].clamp(0, 1), place.scaled(4), 4 * round(box.side))
    assert torch.allclose(result.image, expected, atol=1e-5)
    (reduced,) = restore(photo, weights=model, size=32)
    assert torch.allclose(reduced.image, model(quantize(crop_face(photo, box, 32))[None])[0].clamp(0, 1), atol=1e-5)
    (given,) = restore(photo, weights=model, size=32, faces={"picture 1": [box]})
    assert given.faces[0].score == 1 and given.boxes == [box] and torch.equal(given.image, reduced.image)


def test_a_soft_face_comes_out_as_large_as_it_was() -> None:
    """Restored from its 32 pixels, and again from half of the result: nearer to the truth than once, by LPIPS."""
    truth = crop_face(portraits()["astronaut"], find_faces(portraits()["astronaut"])[0], 128)
    soft = resize(downscale(truth, 4), 256, 256)
    model, where = load_pretrained("lite-x4-blind"), {"picture 1": [Box(128, 128, 256)]}
    (again,) = restore(soft, weights=model, faces=where)
    (once,) = super_resolve([halved(soft, 3)], model)
    (twice,) = super_resolve([halved(once, 1)], model)
    assert torch.allclose(again.image, twice, atol=1e-5)
    assert again.faces[0].before.shape == again.faces[0].after.shape == (3, 256, 256)
    once, twice, truth = (resize(face, 256, 256)[None] for face in (once, twice, truth))
    assert lpips(twice, truth) < lpips(once, truth)
    (pasted,) = restore(soft, weights=model, faces=where, paste=True, scale=1)
    middle = slice(96, 160)
    assert (pasted.image - twice[0])[:, middle, middle].abs().mean() < 2 / 255
    (asked,) = restore(soft, weights=model, faces=where, size=32)  # a size that is given is meant
    assert asked.image.shape == (3, 128, 128)


@pytest.mark.parametrize("grey", [False, True])
def test_a_soft_face_that_is_grey_turned_and_cut_off(grey: bool) -> None:
    soft = resize(downscale(portraits()["astronaut"][None, :, 30:286, 80:336], 8)[0], 256, 256)
    soft = soft.mean(0, keepdim=True).expand(3, -1, -1) if grey else soft
    for box in (Box(150, 100, 250, 0.3), Box(230, 30, 250, -2.0)):
        (result,) = restore(soft, weights="lite-x4-blind", faces={"picture 1": [box]})
        assert result.image.shape == (3, 248, 248)  # 31.25 pixels, halved three times, enlarged by 4 and by 2
        assert bool((result.image == result.image[:1]).all()) == grey


def test_only_what_grows_goes_through_again(model: ELSFace) -> None:
    sr = torch.rand(3, 64, 64)
    for side, before, times in ((64, 64, 1), (64, 65, 2), (64, 256, 4), (401, 900, 1)):
        image, grown = super_resolve_again(sr, side, before, model)
        assert image.shape == (3, 64 * times, 64 * times) and grown == side * times
    doubling = ELSFace(ELSFaceConfig.lite(scale=2, **TINY)).eval()  # from half of a face it makes no more than the face
    assert super_resolve_again(sr, 64, 999, doubling) == (sr, 64)
    eight = ELSFace(ELSFaceConfig.lite(scale=8, **TINY)).eval()
    assert super_resolve_again(sr, 64, 70, eight)[1] == 256


def test_a_large_face_is_left_as_it_is_and_that_is_said(
    model: ELSFace, photo: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pixels would be replaced by fewer; unless one asks for that."""
    monkeypatch.setattr(judge, "LARGEST", 30)
    (result,) = restore(photo, weights=model, paste=True)
    assert torch.equal(result.image, upscale(photo[None], 4)[0])
    (face,) = result.faces
    assert not face.restored and face.after is None and "large as it is, with 39 pixels" in face.judgement
    (result,) = restore(photo, weights=model)
    assert result.images == [] and result.error is None
    with pytest.raises(ElsfaceError, match="left alone"):
        _ = result.image
    (result,) = restore(photo, weights=model, size=24)
    assert result.faces[0].restored and result.image.shape == (3, 96, 96)


@pytest.mark.slow
def test_photographs_are_restored_by_weights_that_know_jpeg_and_noise() -> None:
    """Without being asked; LR faces, which are shrunk and nothing else, by those that know nothing else."""
    sharp = portraits()["astronaut"]
    spoilt = Blind(4, clean=0)(sharp, generator(0))
    (face,) = restore(spoilt)[0].faces
    (laboratory,) = restore(spoilt, weights="lite-x4", faces={"picture 1": [face.box]})[0].faces
    truth = crop_face(sharp, face.box.scaled(4), face.after.shape[-1])
    before, after, other = (psnr(image[None], truth[None]) for image in (face.before, face.after, laboratory.after))
    assert after > before + 1 and after > other + 0.5
    lr = crop_face(spoilt, face.box, 32)
    assert torch.equal(restore(lr, lr=True)[0].image, restore(lr, lr=True, weights="lite-x4")[0].image)


def test_the_strength_lies_between_bicubic_and_restored(model: ELSFace, photo: Tensor) -> None:
    none, half, all_ = (restore(photo, weights=model, strength=s)[0].faces[0] for s in (0, 0.5, 1))
    assert torch.equal(none.after, none.before) and torch.equal(none.before, all_.before)
    assert torch.allclose(half.after, (none.after + all_.after) / 2, atol=0.02)  # clamped after
    assert (all_.after - all_.before).abs().mean() > 1e-3


def test_grey_faces_stay_grey(model: ELSFace, photo: Tensor) -> None:
    grey = quantize(photo.mean(0, keepdim=True)).expand(3, -1, -1)
    for options in ({}, {"paste": True}, {"lr": True}):
        (result,) = restore(grey, weights=model, **options)
        assert (result.image.amax(0) - result.image.amin(0)).max() < 1e-6


@pytest.mark.parametrize("factor", [1.0, 0.55])
def test_the_gain_of_lr_faces_holds_in_photographs(factor: float) -> None:
    """A face of 39 or 22 pixels, a little turned. To turn the LR pixels instead of the result leaves 1.5 and 0.4 dB."""
    large = F.interpolate(portraits()["astronaut"][None], scale_factor=factor, mode="bicubic", antialias=True)
    hr = large[..., : large.shape[-2] // 4 * 4, : large.shape[-1] // 4 * 4].clamp(0, 1)
    lr = downscale(hr, 4)
    (result,) = restore(lr[0], device="cpu")
    (box,), size = result.boxes, result.image.shape[-1]
    assert abs(box.angle) > 0.03
    truth, bicubic = (crop_face(image, box.scaled(4), size)[None] for image in (hr[0], upscale(lr, 4)[0]))
    gain = (psnr(result.image[None], truth) - psnr(bicubic, truth)).item()
    print(f"a face of {box.side:.1f} pixels gains {gain:.2f} dB")
    assert gain > 2


def test_all_faces_of_a_photograph_are_restored(model: ELSFace, group: Tensor, tmp_path: Path) -> None:
    (result,) = restore(group, weights=model)
    assert len(result.images) == len(result.boxes) == 2
    write_png(group, tmp_path / "in" / "group.png")
    (written,) = restore(tmp_path / "in", weights=model, out=tmp_path / "out")
    assert written.faces[0].after is None and written.seconds > 0 and written.smallest == pytest.approx(13.8)
    assert [path.name for path in written.files] == ["group.png", "group-face2.png"]
    for path, image in zip(written.files, result.images, strict=True):
        assert torch.allclose(read_image(path), quantize(image), atol=1e-6)
    assert written.images == []
    with pytest.raises(ElsfaceError, match="were written"):
        _ = written.image


def outside(boxes: list, size: torch.Size, factor: int) -> Tensor:
    x, y = torch.arange(size[-1]) + 0.5, torch.arange(size[-2])[:, None] + 0.5
    inside = [(u.abs() < 1) & (v.abs() < 1) for u, v in (_to_box(x, y, box.scaled(factor)) for box in boxes)]
    return ~torch.stack(inside).any(0)


def test_pasted_photographs_change_at_the_faces_only(model: ELSFace, group: Tensor) -> None:
    (result,) = restore(group, weights=model, paste=True)
    expected = upscale(group[None], 4)[0]
    assert len(result.images) == 1
    assert result.image.shape == expected.shape == (3, 512, 1024)
    rest = outside(result.boxes, expected.shape, 4)
    assert 0.7 < rest.float().mean() < 0.95
    assert torch.equal(result.image[:, rest], expected[:, rest])
    assert (result.image - expected)[:, ~rest].abs().mean() > 1e-3


def test_pasted_photographs_are_enlarged_less_where_they_would_be_too_large(
    model: ELSFace, photo: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, side in ((128 * 128 * 9 + 5, 384), (128 * 128, 128), (5, 128)):
        monkeypatch.setattr(work, "PASTED_PIXELS", limit)
        assert restore(photo, weights=model, paste=True)[0].image.shape == (3, side, side)


def test_every_input_gets_a_name_of_its_own(model: ELSFace, tmp_path: Path) -> None:
    names = ["a/face.png", "b/face.png", "b/Face.jpg", "b/face-2.png", "c/other.png"]
    for number, name in enumerate(names):
        write_png(torch.full((3, 8, 8), number / 10), tmp_path / name)
    (tmp_path / "b/face.bmp").write_text("no picture", encoding="utf-8")
    inputs = [tmp_path / folder for folder in "abc"]
    results = restore(inputs, weights=model, lr=True, out=tmp_path / "out", batch_size=2)
    assert len(results) == 6
    written = [path for result in results for path in result.files]
    assert len({path.name.casefold() for path in written}) == 5
    assert sorted(written) == sorted(path for path in (tmp_path / "out").iterdir() if path.name != RECORD)
    for result in results:
        if result.error is None:
            (expected,) = restore(result.source, weights=model, lr=True)
            assert torch.allclose(read_image(result.files[0]), quantize(expected.image), atol=2 / 255)
    again = restore(inputs, weights=model, lr=True, out=tmp_path / "out")
    assert [result.files for result in again] == [result.files for result in results]


def test_bad_inputs_do_not_stop_the_good_ones(model: ELSFace, photo: Tensor, tmp_path: Path) -> None:
    write_png(photo, tmp_path / "good.png")
    write_png(torch.rand(3, 1, 1), tmp_path / "one.png")
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    inputs = [tmp_path / name for name in ("nowhere.png", "text.png", "good.png", "empty", "one.png")]
    results = restore([*inputs, torch.zeros(3, 50, 50), photo], weights=model, out=tmp_path / "out")
    errors = [result.error for result in results]
    for error, says in zip(
        errors,
        ["does not exist", "is not an image", None, "holds no image", "no face found of", "no face", None],
        strict=True,
    ):
        assert (error is None) if says is None else (says in error and "\n" not in error)
    assert names(tmp_path / "out") == ["good.png", "picture-7.png"]
    with pytest.raises(ElsfaceError, match="does not exist"):
        _ = results[0].image


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (torch.zeros(1, 32, 32), "picture 1: a tensor (1, 32, 32) is no RGB picture"),
        (torch.zeros(3, 0, 32), "has no pixel"),
        (torch.full((3, 32, 32), 2.0), "not in [0, 1]"),
        (torch.full((3, 32, 32), torch.nan), "not in [0, 1]"),
        (5, "of type int cannot be taken"),
        (torch.zeros(3, 1, 1), "sides of 8 to 512 pixels"),
        (torch.zeros(3, 32, 513), "sides of 8 to 512 pixels"),
    ],
)
def test_what_is_no_lr_face_is_said(model: ELSFace, picture: object, says: str) -> None:
    good = torch.rand(3, 32, 32)
    bad, fine = restore([picture, good], weights=model, lr=True)
    assert says in bad.error
    assert fine.error is None


def test_what_cannot_be_done_at_all_is_refused(model: ELSFace, tmp_path: Path) -> None:
    lr = torch.rand(3, 32, 32)
    for options, says in (
        ({"paste": True}, "no photograph"),
        ({"size": 32}, "no photograph"),
        ({"batch_size": 0}, "batch size"),
        ({"sharpness": 0.5}, "two files of weights"),
        ({"device": "warp-drive"}, "device 'warp-drive'"),
        ({"out": Path(__file__) / "below-a-file"}, "cannot write into"),
    ):
        with pytest.raises(ElsfaceError, match=says):
            restore(lr, weights=model, lr=True, **options)
    with pytest.raises(ElsfaceError, match="8 to 512"):
        restore(lr, weights=model, size=7)
    with pytest.raises(ElsfaceError, match="there are no weights"):
        restore(lr, weights="nothing-x3", lr=True)


def test_weights_may_be_a_file(model: ELSFace, tmp_path: Path) -> None:
    save_pretrained(model, tmp_path / "mine.safetensors")
    lr = torch.rand(3, 32, 32)
    by_file, by_model = (restore(lr, weights=w, lr=True)[0] for w in (tmp_path / "mine.safetensors", model))
    assert torch.equal(by_file.image, by_model.image)


def test_sharpness_is_that_of_the_weights(tmp_path: Path) -> None:
    lr = torch.rand(3, 32, 32)
    for seed, name in enumerate(("mine", "mine-gan")):
        torch.manual_seed(seed)
        network = ELSFace(ELSFaceConfig.lite(**TINY))
        nn.init.normal_(network.upsample[-1].weight, std=0.1)
        network.save_pretrained(tmp_path / f"{name}.safetensors")
    sharp = restore(lr, weights=tmp_path / "mine.safetensors", sharpness=1, lr=True)[0].image
    assert torch.equal(sharp, restore(lr, weights=tmp_path / "mine-gan.safetensors", lr=True)[0].image)
    assert not torch.equal(sharp, restore(lr, weights=tmp_path / "mine.safetensors", lr=True)[0].image)


def test_no_input_is_ever_overwritten(model: ELSFace, tmp_path: Path) -> None:
    write_png(torch.rand(3, 32, 32), tmp_path / "a.png")
    write_png(torch.rand(3, 32, 32), tmp_path / "sub" / "b.png")
    before = (tmp_path / "a.png").read_bytes()
    for result in restore(tmp_path, weights=model, lr=True, out=tmp_path):
        assert "is itself an input" in result.error
    (third,) = restore(tmp_path / "sub", weights=model, lr=True, out=tmp_path)
    assert third.files == [tmp_path / "b.png"] and (tmp_path / "a.png").read_bytes() == before


def test_a_file_that_vanishes_is_one_error(model: ELSFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        write_png(torch.rand(3, 32, 32), tmp_path / f"{name}.png")

    def read(path: Path) -> Photograph:
        (tmp_path / "b.png").unlink(missing_ok=True)
        return as_photograph(path)

    monkeypatch.setattr(work, "as_photograph", read)
    results = restore(tmp_path, weights=model, lr=True, out=tmp_path / "out")
    assert ["b.png" in (result.error or "") for result in results] == [False, True, False]


def test_too_little_memory_splits_the_batch(model: ELSFace, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = as_model(Failing(model, torch.OutOfMemoryError, limit=3), monkeypatch)
    faces = torch.rand(11, 3, 32, 32)
    results = restore(faces, lr=True, device="cpu", batch_size=11)
    assert torch.allclose(torch.stack([r.image for r in results]), model(faces).detach().clamp(0, 1), atol=1e-5)
    failing.limit = 0
    assert all("does not fit into memory" in result.error for result in restore(faces, lr=True, device="cpu"))


def test_an_interruption_keeps_what_is_done_and_nothing_by_halves(
    model: ELSFace, lanes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        write_png(torch.rand(3, 32, 32), tmp_path / "in" / f"{number}.png")
    as_model(Failing(model, KeyboardInterrupt, call=3), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        restore(tmp_path / "in", lr=True, device="cpu", batch_size=2, out=tmp_path / "out")
    written = names(tmp_path / "out")
    if lanes == 1:
        assert written == ["0.png", "1.png", "2.png", "3.png"]
    else:  # those that were at work end it
        assert len(written) == 4 and {name.removesuffix(".png") for name in written} < set("012345")


def test_an_interruption_stops_all_lanes(model: ELSFace, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that comes between two chunks, while the traceback is still held, as a notebook does."""
    failing = as_model(Failing(model, KeyboardInterrupt), monkeypatch)
    monkeypatch.setattr(module.tqdm, "update", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt) as held:
        restore(torch.rand(60, 3, 16, 16), lr=True, device="cpu", batch_size=1)
    calls = failing.calls
    assert held.tb and calls < 60
    time.sleep(0.2)
    assert failing.calls == calls


@pytest.mark.parametrize("lr", [True, False])
def test_memory_stays_flat_over_a_folder(
    model: ELSFace, photo: Tensor, lanes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lr: bool
) -> None:
    for number in range(20 if lr else 4):
        write_png(torch.rand(3, 16, 16) if lr else photo, tmp_path / "in" / f"{number}.png")
    alive: list[weakref.ref] = []
    most = 0

    def read(path: Path) -> Photograph:
        nonlocal most
        image = as_photograph(path)
        alive.append(weakref.ref(image.pixels))
        most = max(most, sum(ref() is not None for ref in alive))
        return image

    monkeypatch.setattr(work, "as_photograph", read)
    results = restore(tmp_path / "in", weights=model, lr=lr, batch_size=2, out=tmp_path / "out")
    assert all(result.error is None and not result.images for result in results)
    assert most <= (3 * lanes if lr else 2)


def test_nothing_to_do():
    assert restore([], lr=True) == [] and restore([]) == []


def test_lr_faces_come_in_order(tmp_path, lanes):
    """More chunks than lanes, one of them all broken, the last one short."""
    faces = [torch.full((3, 8, 8), value / 20) for value in range(11)]
    for number, face in enumerate(faces):
        write_png(face, tmp_path / "in" / f"{number:02d}.png")
    for number in (4, 5):
        (tmp_path / "in" / f"{number:02d}.png").write_bytes(b"broken")
    results = restore(tmp_path / "in", lr=True, batch_size=2, out=tmp_path / "out")
    assert [bool(result.error) for result in results] == [number in (4, 5) for number in range(11)]
    for number, result in enumerate(results):
        if not result.error:
            assert result.files == [tmp_path / "out" / f"{number:02d}.png"]
            assert read_image(result.files[0]).mean().item() == pytest.approx(number / 20, abs=0.02)
