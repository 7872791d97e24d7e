"""The Haar wavelet of chapter 09."""

import pytest
import torch

from elsface_lite.course.wavelet import haar_bands


def test_haar_bands_are_sums_and_differences_of_neighbours():
    image = torch.rand(2, 3, 8, 12)
    low, high = haar_bands(image)
    a, b, c, d = (image[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    along_x, along_y, crosswise = high.split(3, 1)
    for found, expected in ((low, a + b + c + d), (along_x, a - b + c - d), (along_y, a + b - c - d)):
        torch.testing.assert_close(found, expected / 2)
    torch.testing.assert_close(crosswise, (a - b - c + d) / 2)
    assert low.square().sum() + high.square().sum() == pytest.approx(image.square().sum().item(), rel=1e-5)
