"""Sharp Loss: equal to the authors' sample, linear, and their threshold as it was meant."""

import pytest
import torch
import torch.nn.functional as F
from conftest import shared
from stress import times

from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.training.losses import SharpLoss, gaussian_blur, gaussian_kernel, unsharp_mask


@pytest.fixture(scope="module")
def fixture() -> dict:
    return torch.load(shared("reference/parity/train5.pt"), weights_only=True)


def test_authors_sharpened_sample(fixture):
    assert torch.allclose(gaussian_kernel(51), fixture["usm_kernel_1d"][:, 0], atol=1e-9)
    error = (SharpLoss().sharpen(fixture["hr"][:1]) - fixture["usm_of_hr0"]).abs().max()
    print(f"sharpened sample: {error:.1e}")
    assert error < 1e-5


@pytest.mark.slow
def test_first_training_steps(fixture):
    """Adam's first steps on the authors' network have the authors' losses, and the same gradients at first."""
    model = ELSFace(ELSFaceConfig.paper())
    model.load_reference_state_dict(torch.load(shared("reference/parity/state_dict.pt"), weights_only=True))
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, weight_decay=1e-5)
    sharp_loss, lr, hr = SharpLoss(), fixture["lr"].flip(1), fixture["hr"].flip(1)
    for step, expected in enumerate(fixture["trace"][: times(5, 3)]):
        sr = model(lr)
        loss = F.l1_loss(sr, hr) + 0.05 * sharp_loss(sr, hr)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            norm = model.cnn.body[0].weight.grad.norm().item()
            assert norm == pytest.approx(fixture["grad_norm_step0"]["cnn_x2_1.0.0.weight"], rel=1e-3)
        optimizer.step()
        print(f"step {step}: {loss.item():.6f}, the authors' {expected['loss']:.6f}")
        assert loss.item() == pytest.approx(expected["loss"], rel=1e-4)


def test_blur_is_the_two_dimensional_gaussian():
    """Two small matrices against one convolution of 51 x 51 on a reflected image."""
    torch.manual_seed(0)
    image, kernel = torch.rand(2, 3, 40, 60), gaussian_kernel(51)
    weight = torch.outer(kernel, kernel).expand(3, 1, 51, 51)
    expected = F.conv2d(F.pad(image, [25] * 4, mode="reflect"), weight, groups=3)
    assert torch.allclose(gaussian_blur(image, kernel), expected, atol=1e-6)


def test_linear_form_is_the_loss_of_sharpened_images():
    torch.manual_seed(0)
    sr, hr, loss = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64), SharpLoss()
    assert loss(sr, hr).item() == pytest.approx(F.l1_loss(loss.sharpen(sr), loss.sharpen(hr)).item(), rel=1e-5)
    assert loss(hr, hr) == 0


def test_amount_weighs_detail():
    torch.manual_seed(0)
    image, kernel = torch.rand(1, 3, 40, 40), gaussian_kernel(9)
    detail = image - gaussian_blur(image, kernel)
    assert torch.allclose(unsharp_mask(image, kernel, 2.0) - image, 2 * detail, atol=1e-6)
    assert torch.equal(unsharp_mask(image, kernel, 0.0), image)


def test_threshold_sharpens_edges_only():
    """A step of 8 grey levels stays, a step of 80 is sharpened, and the result stays in [0, 1]."""
    image = torch.full((1, 3, 64, 192), 100 / 255)
    image[..., 64:128] += 8 / 255
    image[..., 128:] += 88 / 255
    sharp = SharpLoss(kernel_size=21, threshold=10).sharpen(image)
    change = (sharp - image).abs()[0, 0, 32]
    assert change[40:88].max() < 1e-6
    assert change[120:136].max() > 10 / 255
    assert sharp.min() >= 0 and sharp.max() <= 1
    assert torch.allclose(SharpLoss(kernel_size=21, threshold=256).sharpen(image), image)


def test_threshold_loss_differs_from_the_linear_one():
    torch.manual_seed(0)
    sr, hr = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    assert SharpLoss(threshold=10)(sr, hr).item() != pytest.approx(SharpLoss()(sr, hr).item(), rel=1e-3)


@pytest.mark.parametrize("size", [0, 50])
def test_even_kernel_refused(size):
    with pytest.raises(ValueError, match="odd number of taps"):
        SharpLoss(kernel_size=size)


def test_small_image_refused():
    with pytest.raises(ValueError, match="25 pixels is too short for a Gaussian of 51 taps"):
        SharpLoss()(torch.rand(1, 3, 25, 64), torch.rand(1, 3, 25, 64))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_images_are_finite(value):
    image = torch.full((1, 3, 64, 64), value)
    for loss in (SharpLoss(), SharpLoss(threshold=10)):
        assert loss(image, image) == 0
