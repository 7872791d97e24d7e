"""Numbers at the edge: what is not finite is refused or stays visible, and flat pictures give finite results."""

import math
import warnings
from collections.abc import Callable

import matplotlib.pyplot as plt
import pytest
import torch
from torch import Tensor

import elsface_lite as ef
from elsface_lite import metrics
from elsface_lite.course import frequency, plots
from elsface_lite.data.images import write_png
from elsface_lite.errors import ElsfaceError
from elsface_lite.packages import WeightsMissing
from elsface_lite.training.losses import SharpLoss
from elsface_lite.training.optim import orthogonalize

EDGES = [0, 0.125, 0.5]
NOISE = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
FLAT = {
    "black": torch.zeros_like(NOISE),
    "white": torch.ones_like(NOISE),
    "constant": torch.full_like(NOISE, 0.3),
    "shifted by a pixel": NOISE.roll((1, -1), (2, 3)),
}
NOT_FINITE = [math.nan, math.inf, -math.inf]
MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    **{name: metric.function for name, metric in metrics.IMAGE_METRICS.items()},
    "fid": metrics.fid,
    "kid": metrics.kid,
}
flat = pytest.mark.parametrize("image", FLAT.values(), ids=FLAT)
not_finite = pytest.mark.parametrize("value", NOT_FINITE)


def with_one(value: float, size: int) -> Tensor:
    """Two pictures, of which the first has one value that is not finite."""
    image = NOISE[..., :size, :size].clone()
    image[0, 1, 3, 5] = value
    return image


@pytest.fixture(scope="module", params=["lite-x4", "paper"])
def model(request) -> ef.ELSFace:
    if request.param == "lite-x4":
        return ef.load_pretrained("lite-x4").requires_grad_(True)
    torch.manual_seed(0)
    sizes = dict(channels=12, out_channels=12, head_blocks=1, hfebs=1, hfeb_blocks=1)
    return ef.ELSFace(ef.ELSFaceConfig.paper(**sizes)).eval()


@flat
def test_network_and_losses_are_finite_on_flat_pictures(model, image):
    """Forwards, everything in between, and backwards."""
    for sharp in (SharpLoss(), SharpLoss(threshold=10)):
        model.zero_grad()
        trace = model.trace(image[..., :32, :32])
        assert all(part.isfinite().all() for part in trace.values())
        loss = sharp(trace["sr"], NOISE) + sharp(trace["sr"], trace["sr"].detach())
        loss.backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        assert loss.isfinite() and gradients and all(gradient.isfinite().all() for gradient in gradients)


@not_finite
def test_network_keeps_what_is_not_finite_to_its_picture(model, value):
    """It comes out as NaN, not as a face; the picture beside it in the batch is restored as ever."""
    with torch.no_grad():
        broken, good = model(with_one(value, 32)), model(NOISE[..., :32, :32])
    assert broken[0].isnan().any()
    assert torch.allclose(broken[1], good[1], atol=1e-6)


@not_finite
def test_restore_refuses_what_is_not_finite(model, value):
    broken, good = ef.restore(list(with_one(value, 32)), weights=model, lr=True)
    assert "not in [0, 1]" in broken.error and not broken.images
    assert good.error is None and good.image.isfinite().all()


@not_finite
@pytest.mark.parametrize("threshold", [None, 10])
def test_loss_shows_what_is_not_finite(value, threshold):
    """So that the trainer skips the step (tests/test_train.py)."""
    assert not SharpLoss(threshold=threshold)(with_one(value, 128), NOISE).isfinite()


def test_muon_takes_a_gradient_of_zero():
    assert not orthogonalize(torch.zeros(4, 9)).any()


SLOW = ("lpips_vgg", "fid", "kid")


@flat
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in MEASURES])
def test_metrics_of_flat_pictures(name, image):
    """Finite against another picture, and the best possible value against themselves."""
    best = {"psnr": math.inf, "psnr_y": math.inf, "ssim": 1.0, "ssim_y": 1.0}.get(name, 0.0)
    try:
        assert MEASURES[name](image, NOISE).isfinite().all()
        same = MEASURES[name](image, image)
    except WeightsMissing as error:
        pytest.skip(str(error))
    if name == "kid":  # unbiased, so it may be below 0
        assert same.isfinite()
    else:
        assert same.tolist() == pytest.approx([best] * len(image) if same.ndim else best, abs=1e-4)


@not_finite
@pytest.mark.parametrize("name", MEASURES)
def test_metrics_refuse_what_is_not_finite(name, value):
    for pair in ((with_one(value, 128), NOISE), (NOISE, with_one(value, 128))):
        with pytest.raises(ElsfaceError, match=r"has values from .* not in \[0, 1\]"):
            MEASURES[name](*pair)


@flat
def test_frequencies_of_flat_pictures(image):
    frequencies, power = frequency.radial_profile(image)
    parts = [frequency.low_pass(image, 0.1), frequency.high_pass(image, 0.1), frequency.band_energy(image, EDGES)]
    decibels = [frequency.band_psnr(image, other, EDGES) for other in (NOISE, image)]
    for result in (frequency.spectrum(image), frequencies, power, *parts, *decibels):
        assert result.isfinite().all()
    assert decibels[1].eq(100).all()


def drawings(image: Tensor) -> dict[str, Callable[[], object]]:
    """Every function that draws, by name, with what a chapter would give it."""
    frequencies, power = frequency.radial_profile(image)
    return {
        "faces": lambda: plots.faces_html({"face": image[0]}, "A face"),
        "images": lambda: plots.draw_images([image[0]], ["face"]),
        "spectra": lambda: plots.draw_spectra([frequency.spectrum(image)[0]], ["face"], 0.125),
        "profiles": lambda: plots.draw_profiles({"face": (frequencies, power[0])}),
        "bands": lambda: plots.draw_bands({"face": frequency.band_psnr(image, NOISE, EDGES)[0]}, EDGES, "dB"),
    }


@flat
@pytest.mark.parametrize("name", drawings(NOISE))
def test_plots_of_flat_pictures(name, image):
    """The picture is made; a log axis may say that black has no power to draw."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Data has no positive values")
        drawn = drawings(image)[name]()
        page = drawn if isinstance(drawn, str) else plots.figure_html(drawn, "A face")
    assert "data:image/" in page


@not_finite
@pytest.mark.parametrize("name", drawings(NOISE))
def test_plots_refuse_what_is_not_finite(name, value):
    with pytest.raises(ElsfaceError, match="holds NaN or infinity"):
        drawings(with_one(value, 128))[name]()
    plt.close("all")


def test_a_png_refuses_nan(tmp_path):
    with pytest.raises(ElsfaceError, match="NaN"):
        write_png(with_one(math.nan, 32)[0], tmp_path / "face.png")
    assert not list(tmp_path.iterdir())
