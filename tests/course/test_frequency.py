"""Spectra, filters and bands: energy is kept, known waves are found where they are, flat images stay finite."""

import math

import pytest
import torch
import torch.nn.functional as F
from clicks import click

from elsface_lite.course.frequency import (
    band_energy,
    band_psnr,
    high_pass,
    low_pass,
    power_spectrum,
    radial_profile,
    spectrum,
)
from elsface_lite.data.degradation import downscale, upscale
from elsface_lite.data.sources import portraits
from elsface_lite.errors import ElsfaceError

ALL = (0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)


@pytest.fixture(scope="module")
def face():
    return portraits()["astronaut"][None, :, 30:158, 160:288]


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def wave(frequency: float, height: int = 64, width: int = 64, across: bool = True) -> torch.Tensor:
    """Stripes: frequency in cycles per pixel, between 0 and 1."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return (0.5 + 0.5 * torch.cos(2 * math.pi * frequency * (x if across else y))).expand(1, 3, -1, -1)


@pytest.mark.parametrize("size", [(32, 32), (31, 48), (1, 7), (2, 2)])
def test_parseval(size):
    image = noise(2, 3, *size)
    taper = torch.hann_window(size[0])[:, None] * torch.hann_window(size[1])
    taper = taper / taper.square().mean().sqrt()
    seen = taper * (image - image.mean(dim=(-2, -1), keepdim=True))
    torch.testing.assert_close(power_spectrum(image).sum((-2, -1)), seen.square().sum((-2, -1)).mean(1))


def test_white_noise_has_its_variance_at_every_frequency():
    _, power = radial_profile(3 * noise(1, 200, 64, 64))
    assert power.shape == (1, 32)
    # The mean that is taken away is missing in the lowest rings, into which the taper smears it.
    assert power[:, 2:].sub(9).abs().max() < 0.5


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("cycles", [4, 8, 20])
def test_a_wave_is_found_at_its_frequency(cycles, across):
    image = wave(cycles / 64, across=across)
    frequencies, power = radial_profile(image)
    assert frequencies[power[0].argmax()].item() == pytest.approx(cycles / 64)
    brightest = divmod(spectrum(image)[0].argmax().item(), 64)
    distance = [abs(brightest[1] - 32), abs(brightest[0] - 32)]
    assert distance == ([cycles, 0] if across else [0, cycles])


def test_the_axis_of_a_profile_ends_at_nyquist():
    for height, width, rings in [(64, 64, 32), (40, 64, 20), (33, 65, 16), (1, 1, 0)]:
        frequencies, power = radial_profile(noise(2, 3, height, width))
        assert len(frequencies) == rings and power.shape == (2, rings)
        assert rings == 0 or (frequencies[0] > 0 and frequencies[-1] <= 0.5)
        assert power.isfinite().all()


def test_the_taper_takes_the_cross_of_the_edges_away():
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)  # smooth inside, a jump where right meets left
    raw = torch.fft.fft2(ramp - ramp.mean(), norm="ortho").abs().square().mean(1)
    assert raw[0, 0, 20] > 1e-3
    assert power_spectrum(ramp)[0, 0, 20] < 1e-3 * raw[0, 0, 20]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_flat_images_stay_finite(value):
    flat = torch.full((1, 3, 16, 24), value)
    assert torch.equal(spectrum(flat), torch.full((1, 16, 24), -10.0))
    assert radial_profile(flat)[1].abs().max() < 1e-10
    assert torch.equal(band_psnr(flat, flat, ALL), torch.full((1, 5), 100.0))
    torch.testing.assert_close(low_pass(flat, 0), flat)
    torch.testing.assert_close(high_pass(flat, 0.1), torch.zeros_like(flat), atol=1e-6, rtol=0)
    assert band_psnr(flat, 1 - flat, ALL).isfinite().all()


@pytest.mark.parametrize("size", [(16, 16), (15, 22), (1, 1)])
@pytest.mark.parametrize("cutoff", [0.0, 0.1, 0.3, 0.72])
def test_low_and_high_make_the_image(size, cutoff):
    image = noise(1, 3, *size)
    torch.testing.assert_close(low_pass(image, cutoff) + high_pass(image, cutoff), image)
    torch.testing.assert_close(low_pass(low_pass(image, cutoff), cutoff), low_pass(image, cutoff))
    if cutoff == 0:
        torch.testing.assert_close(low_pass(image, 0), image.mean((-2, -1), keepdim=True).expand_as(image))
    if cutoff > 0.71:
        torch.testing.assert_close(low_pass(image, cutoff), image)


def test_the_filter_stops_a_wave_above_its_cutoff_only():
    slow, fast = wave(4 / 64), wave(16 / 64)
    torch.testing.assert_close(low_pass(slow, 0.1), slow)
    torch.testing.assert_close(low_pass(fast, 0.1), torch.full_like(fast, 0.5))
    torch.testing.assert_close(low_pass(0.5 * slow + 0.5 * fast, 0.1), 0.5 * slow + 0.25)


def test_the_filter_does_not_wrap_around():
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    assert (low_pass(ramp, 0.1) - ramp).abs().max() < 0.02


def test_bands_add_up_to_the_mean_square(face):
    sr = upscale(downscale(face, 4), 4)
    torch.testing.assert_close(band_energy(sr - face, ALL).sum(), (sr - face).square().mean())
    by_filter = low_pass(sr - face, 1 / 8) - low_pass(sr - face, 1 / 16)
    torch.testing.assert_close(band_energy(sr - face, ALL)[0, 2], by_filter.square().mean(), rtol=0.03, atol=0)


def test_band_psnr_of_a_wrong_wave():
    hr = torch.full((1, 3, 64, 64), 0.5)
    sr = hr + 0.2 * (wave(12 / 64) - 0.5)  # amplitude 0.1, mean square 0.005
    values = band_psnr(sr, hr, ALL)
    assert values[0, 3].item() == pytest.approx(-10 * math.log10(0.005), abs=1e-3)
    assert (values[0, [0, 1, 2, 4]] == 100).all()


def test_bicubic_keeps_what_the_lr_grid_can_hold(face):
    sr = upscale(downscale(face, 4), 4)
    missing = band_energy(sr - face, (0, 1 / 16, 1 / 8, 1 / 4, 1)) / band_energy(face, (0, 1 / 16, 1 / 8, 1 / 4, 1))
    assert missing[0, 0] < 0.001
    assert missing[0, 2] > 0.9 and missing[0, 3] > 0.9


def test_features_and_batches_are_kept_apart():
    features = torch.cat([noise(1, 60, 8, 8), torch.zeros(1, 60, 8, 8)])
    _, power = radial_profile(features)
    assert power[0].min() > 0 and power[1].max() == 0
    assert band_energy(features, ALL)[1].sum() == 0


def test_gradients_flow(face):
    image = F.interpolate(face, (16, 16)).requires_grad_()
    (band_energy(image, ALL).sum() + low_pass(image, 0.2).sum() + radial_profile(image)[1].sum()).backward()
    assert image.grad.isfinite().all() and image.grad.abs().sum() > 0


def test_the_explorer_follows_its_slider(face):
    widgets = pytest.importorskip("elsface_lite.course.widgets")
    explorer = widgets.frequency_explorer(face)
    slider, picture = explorer.controls["cutoff"], explorer.picture
    before = picture.value
    assert slider.value == 0.125
    slider.value = 0.3
    expected = -10 * (low_pass(face, 0.3) - face).square().mean().log10().item()
    assert picture.value != before
    assert "0.300 cycles per pixel" in picture.value and f"low-pass, {expected:.1f} dB" in picture.value
    assert picture.value.count("<img alt=") == 4
    click(picture, row=64, column=80)  # 16 of 128 places from the middle
    assert slider.value == 16 / 128


def test_frequencies_that_cannot_be_are_refused():
    with pytest.raises(ElsfaceError, match="negative"):
        low_pass(noise(1, 1, 4, 4), -0.1)
    for edges in ([], [0.1], [0.2, 0.1], [0, 0.1, 0.1]):
        with pytest.raises(ElsfaceError, match="do not rise"):
            band_energy(noise(1, 1, 4, 4), edges)
