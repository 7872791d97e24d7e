"""Mirror symmetry: a mirrored face gives the mirrored result, before training and after it."""

import copy

import numpy as np
import pytest
import torch

from elsface_lite.errors import ElsfaceError
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.training.config import TrainConfig
from elsface_lite.training.symmetry import MirrorSymmetry
from elsface_lite.training.trainer import Trainer

CONFIGS = {
    "lite": ELSFaceConfig.lite(),
    "x8": ELSFaceConfig.lite(scale=8, grid=2),
    "paper": ELSFaceConfig.paper(hfebs=1, hfeb_blocks=2),
    "shifted windows": ELSFaceConfig.lite(channels=16, depth=2, hfeb_blocks=2),
    "without styles": ELSFaceConfig.paper(style="none", hfebs=1, hfeb_blocks=1),
    "CNN stream": ELSFaceConfig.lite(streams="cnn", hfebs=0, hfeb_skip=False),
}


def loud(config: ELSFaceConfig) -> ELSFace:
    """A network that says something: the last convolution of lite begins as zero."""
    torch.manual_seed(0)
    model = ELSFace(config).eval()
    torch.nn.init.normal_(model.upsample[-1].weight, std=0.05)
    return model


@torch.inference_mode()
def difference(model: ELSFace) -> float:
    """Between the result of a mirrored face and the mirrored result, over the spread of the result."""
    torch.manual_seed(1)
    side = 128 // model.config.scale
    lr = torch.rand(2, 3, side, side)
    sr = model(lr)
    return ((model(lr.flip(-1)).flip(-1) - sr).abs().max() / sr.std()).item()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_mirrored_face_gives_the_mirrored_result(name):
    model = loud(CONFIGS[name])
    symmetry = MirrorSymmetry(model)
    lopsided = difference(model)
    assert symmetry.broken(model) > 0.1
    symmetry.start(model)
    assert symmetry.broken(model) < 1e-7
    # The strided convolutions of the style encoder have no mirror image in themselves, and move the styles a little.
    assert difference(model) < (1e-4 if model.config.style == "none" else lopsided / 10)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_mirror_image_of_the_mirror_image_is_the_weight(name):
    model = loud(CONFIGS[name])
    symmetry = MirrorSymmetry(model)
    for weight_name, weight in model.named_parameters():
        mirrored = symmetry.mirrored(weight_name, weight)
        assert torch.equal(symmetry.mirrored(weight_name, mirrored), weight)
        assert weight.ndim < 2 or not torch.equal(mirrored, weight)


def test_gradients_become_those_of_both_faces():
    """What `keep` makes of a face's gradient is the mean of it and its mirrored twin's, if the network is symmetric."""
    model = loud(ELSFaceConfig.lite(channels=8, heads=2, hfeb_blocks=1, style="none"))
    symmetry = MirrorSymmetry(model)
    symmetry.start(model)
    lr, hr = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 128, 128)

    def gradients(*flips: bool) -> list[torch.Tensor]:
        model.zero_grad()
        for flip in flips:
            small, large = (x.flip(-1) if flip else x for x in (lr, hr))
            ((model(small) - large).square().mean() / len(flips)).backward()
        return [weight.grad.clone() for weight in model.parameters()]

    both = gradients(False, True)
    gradients(False)
    symmetry.keep(model)
    for weight, expected in zip(model.parameters(), both, strict=True):
        torch.testing.assert_close(weight.grad, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_training_keeps_the_symmetry(optimizer):
    faces = np.random.default_rng(0).integers(0, 256, (8, 3, 128, 128), np.uint8)
    config = TrainConfig(batch_size=4, epochs=3, warmup_steps=0, optimizer=optimizer)
    trainer = Trainer(config, ELSFaceConfig.lite(channels=8, heads=2, hfeb_blocks=1), faces, faces[:1])
    before = copy.deepcopy(trainer.model.state_dict())
    for _ in range(6):
        trainer.train_step()
    assert not torch.equal(before["upsample.2.weight"], trainer.model.state_dict()["upsample.2.weight"])
    assert trainer.symmetry.broken(trainer.model) < 1e-5
    assert trainer.symmetry.broken(trainer.ema) < 1e-5


def test_what_has_no_partner_is_refused():
    for odd in ({"out_channels": 11}, {"channels": 15, "heads": 3}):
        with pytest.raises(ElsfaceError, match=r"make it even, or set train\.symmetric=false"):
            MirrorSymmetry(ELSFace(ELSFaceConfig.lite(**odd)))
