"""NIQE: equal to the published one where its model is here, and what ours says of faces."""

import json
import runpy
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, shared
from scipy.ndimage import convolve
from scipy.special import gamma
from skimage.data import astronaut
from torch import Tensor

from elsface_lite.cli.main import main
from elsface_lite.data.degradation import downscale, quantize, upscale
from elsface_lite.data.images import write_png
from elsface_lite.data.sources import portraits
from elsface_lite.errors import ElsfaceError
from elsface_lite.metrics.evaluator import SR_METRICS, Evaluator
from elsface_lite.metrics.niqe import FACES_MODEL, NiqeModel, fit_model, niqe, read_model, rounded_luma, write_model


def picture(height: int = 512, width: int = 512) -> Tensor:
    return torch.from_numpy(astronaut()).permute(2, 0, 1)[None, :, :height, :width] / 255


def face() -> Tensor:
    return portraits()["astronaut"][None, :, 30:158, 160:288]


# The published one


@pytest.fixture
def published() -> NiqeModel:
    return read_model(shared("metrics/niqe_pris_params.npz"))


def direct_fit(x: np.ndarray) -> tuple[float, float, float]:
    """An asymmetric generalised Gaussian, by the moments of the paper's section II-B."""
    left, right = np.sqrt(np.mean(x[x < 0] ** 2)), np.sqrt(np.mean(x[x > 0] ** 2))
    skew, ratio = left / right, np.mean(np.abs(x)) ** 2 / np.mean(x**2)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shapes = np.arange(0.2, 10.001, 0.001)
    ratios = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    shape = shapes[np.argmin((ratios - ratio) ** 2)]
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def direct_half(image: np.ndarray) -> np.ndarray:
    """MATLAB's cubic kernel, twice as wide, on an image that is mirrored beyond its border."""
    at = np.abs(np.arange(-3.5, 4) / 2)
    near, far = 1.5 * at**3 - 2.5 * at**2 + 1, -0.5 * at**3 + 2.5 * at**2 - 4 * at + 2
    weights = np.where(at <= 1, near, far)
    weights /= weights.sum()
    for _ in range(2):
        padded = np.pad(image, ((3, 3), (0, 0)), mode="symmetric")
        image = sum(weight * padded[i : i + len(image) : 2] for i, weight in enumerate(weights)).T
    return image


def direct_niqe(image: Tensor, file: str) -> float:
    """Patch by patch, in numpy and scipy."""
    model, y = np.load(file), rounded_luma(image)[0, 0].numpy()
    rows, columns = (side // 96 for side in y.shape)
    y, scales = y[: 96 * rows, : 96 * columns], []
    for side in (96, 48):
        mean, square = (convolve(values, model["gaussian_window"], mode="nearest") for values in (y, y**2))
        deviation = np.where(np.abs(y - mean) < 1e-6, 0, y - mean)
        x, features = deviation / (np.sqrt(np.abs(square - mean**2)) + 1), []
        for patch in (x[i * side :, j * side :][:side, :side] for i in range(rows) for j in range(columns)):
            shape, left, right = direct_fit(patch)
            found = [shape, (left + right) / 2]
            for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
                shape, left, right = direct_fit(patch * np.roll(patch, shift, (0, 1)))
                found += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
            features.append(found)
        scales.append(features)
        y = direct_half(y)
    features = np.concatenate(scales, axis=1)
    difference = (model["mu_pris_param"] - features.mean(0))[0]
    inverse = np.linalg.pinv((model["cov_pris_param"] + np.cov(features, rowvar=False)) / 2)
    return np.sqrt(difference @ inverse @ difference)


@pytest.mark.parametrize("blur", [False, True])
def test_niqe_is_the_direct_one(published, blur):
    image = upscale(downscale(picture(), 4), 4) if blur else picture(301, 399)
    expected = direct_niqe(image, str(shared("metrics/niqe_pris_params.npz")))
    assert niqe(image, published).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "scale", "expected"), [(512, 512, 1, 3.0646), (301, 399, 1, 4.2544), (512, 512, 4, 7.1640)]
)
def test_niqe_is_basicsrs(published, height, width, scale, expected):
    """What BasicSR 1.4.2 gives, which computes in float32; without flat areas, such as baboon.png, to 1e-5."""
    image = picture(height, width)
    image = image if scale == 1 else upscale(downscale(image, scale), scale)
    assert niqe(image, published).item() == pytest.approx(expected, abs=1e-3)


def test_the_published_model_wants_large_pictures(published):
    with pytest.raises(ElsfaceError, match=r"two patches of 96x96 pixels with detail: 128x128 is too small"):
        niqe(face(), published)


# Ours


def test_niqe_tells_a_sharp_face_from_spoilt_ones():
    hr = face()
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    values = {
        "hr": niqe(hr).item(),
        "bicubic": niqe(upscale(downscale(hr, 4), 4)).item(),
        "noise": niqe(quantize(hr + 0.05 * noise)).item(),
    }
    assert 0 < values["hr"] < 0.7 * min(values["bicubic"], values["noise"])


def test_niqe_of_a_batch_is_that_of_each_image():
    images = torch.cat([face(), face().flip(3), upscale(downscale(face(), 2), 2)])
    values = niqe(images)
    assert values.shape == (3,) and values.dtype == torch.float32
    assert torch.allclose(torch.cat([niqe(image[None]) for image in images]), values, rtol=1e-6)


def test_a_patch_without_detail_is_passed_over():
    image = picture(128, 128).clone()
    image[..., :32, :32] = 0.5
    assert niqe(image).isfinite()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.rand(1, 3, 32, 40), "two patches of 32x32 pixels with detail: 40x32 is too small"),
        (torch.rand(1, 3, 20, 400), "too small, or flat"),
        (torch.full((1, 3, 128, 128), 0.5), "too small, or flat"),
        (torch.rand(1, 1, 64, 64), r"\(b, 3, h, w\)"),
        (255 * torch.rand(1, 3, 64, 64), "not in"),
    ],
)
def test_niqe_refuses_what_has_no_statistics(image, words):
    with pytest.raises(ElsfaceError, match=words):
        niqe(image)


def test_the_shipped_model_is_named_in_every_output(tmp_path, capsys):
    assert FACES_MODEL.stat().st_size < 10_000
    assert read_model().block == 32
    assert "NIQE, fitted on faces" in SR_METRICS["niqe"].convention
    assert "not comparable with papers" in SR_METRICS["niqe"].convention
    write_png(face()[0], tmp_path / "sr" / "0.png")
    files = ["--csv", str(tmp_path / "t.csv"), "--json", str(tmp_path / "t.json")]
    assert main(["evaluate", "--sr", str(tmp_path / "sr"), "--metrics", "niqe", *files]) == 0
    for text in (
        capsys.readouterr().out,
        *((tmp_path / f"t.{kind}").read_text(encoding="utf-8") for kind in ("csv", "json")),
    ):
        assert "NIQE, fitted on faces: not comparable with papers" in text
    report = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert report["images"] == [{"name": "0.png", "niqe": pytest.approx(niqe(face()).item(), rel=1e-5)}]


def test_niqe_needs_no_hr_beside_those_that_do():
    hr = face()
    evaluator = Evaluator(["psnr", "niqe"])
    evaluator.update(upscale(downscale(hr, 4), 4), hr)
    assert evaluator.table()[1].mean == pytest.approx(niqe(upscale(downscale(hr, 4), 4)).item())


# Models in files


def test_a_model_is_fitted_written_read_and_named(tmp_path, capsys):
    model = fit_model([face(), picture(256, 256)], block=32)
    write_model(model, tmp_path / "own.npz")
    read = read_model(tmp_path / "own.npz")
    assert read.block == 32
    assert torch.allclose(read.mean, model.mean, rtol=1e-6) and torch.allclose(
        read.covariance, model.covariance, rtol=1e-5
    )
    write_png(face()[0], tmp_path / "sr" / "0.png")
    words = ["--sr", str(tmp_path / "sr"), "--metrics", "niqe", "--niqe-model", str(tmp_path / "own.npz")]
    assert main(["evaluate", *words]) == 0
    printed = capsys.readouterr().out
    assert "model own.npz" in printed and "fitted on faces" not in printed
    assert f"{niqe(face(), read).item():.4f}" in printed


def test_the_command_that_fits_the_model(tmp_path, monkeypatch, capsys):
    for index, image in enumerate((face(), face().flip(3), picture(200, 200))):
        write_png(image[0], tmp_path / "faces" / f"{index}.png")
    (tmp_path / "t.csv").write_text("file,split,licence\n0.png,train,MIT\n1.png,validation,MIT\n2.png,train,none\n")
    for table, faces in ((["--table", str(tmp_path / "t.csv")], 1), ([], 3)):
        words = ["--faces", str(tmp_path / "faces"), "--out", str(tmp_path / "m.npz"), *table]
        monkeypatch.setattr(sys, "argv", ["fit_niqe.py", *words])
        runpy.run_path(str(ROOT / "data" / "fit_niqe.py"), run_name="__main__")
        assert f"{faces} faces of 128x128 pixels" in capsys.readouterr().out
    assert read_model(tmp_path / "m.npz").block == 32


class Harmful:
    def __reduce__(self):
        return print, ("code from a model ran",)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"mu_pris_param": np.zeros(36)},
        {"mu_pris_param": np.zeros(35), "cov_pris_param": np.eye(36)},
        {"mu_pris_param": np.full(36, "x"), "cov_pris_param": np.eye(36)},
        {"mu_pris_param": np.array(Harmful(), dtype=object), "cov_pris_param": np.eye(36)},
        {"mu_pris_param": np.full(36, np.nan), "cov_pris_param": np.eye(36)},
        {"mu_pris_param": np.zeros(36), "cov_pris_param": np.eye(36), "block": np.array(31)},
        {"mu_pris_param": np.zeros(36), "cov_pris_param": np.eye(36), "block": np.array(0)},
    ],
)
def test_a_file_that_is_no_model_is_refused(arrays, tmp_path, capsys):
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(ElsfaceError, match=r"m.npz is no model of NIQE") as error:
        read_model(tmp_path / "m.npz")
    assert "\n" not in str(error.value) and not capsys.readouterr().out


@pytest.mark.parametrize("data", [b"", b"PK", b"text" * 50, b"\x93NUMPY"])
def test_a_file_of_something_else_is_no_model(data, tmp_path):
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(ElsfaceError, match=r"m.npz is no model of NIQE"):
        read_model(tmp_path / "m.npz")
