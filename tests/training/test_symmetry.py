"""Mirror symmetry: a mirrored face gives the mirrored result, before training and after it."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from elsface_lite.data.cache import FaceArray
from elsface_lite.errors import ElsfaceError
from elsface_lite.network.blocks import ResidualBlock, conv
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.network.transformer import WindowAttention
from elsface_lite.network.weights import load_pretrained
from elsface_lite.training.config import TrainConfig
from elsface_lite.training.symmetry import COLOURS, DECLARED, FEATURES, MirrorSymmetry, Partners
from elsface_lite.training.trainer import Trainer

CONFIGS = {
    "lite": ELSFaceConfig.lite(),
    "x8": ELSFaceConfig.lite(scale=8, grid=2),
    "paper": ELSFaceConfig.paper(channels=16, hfebs=1, hfeb_blocks=2),
    "shifted windows": ELSFaceConfig.lite(channels=16, depth=2, hfeb_blocks=2),
    "without styles": ELSFaceConfig.paper(channels=16, style="none", hfebs=1, hfeb_blocks=1),
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


@pytest.mark.slow
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
    config = TrainConfig(batch_size=4, epochs=3, warmup=0, optimizer=optimizer)
    network = ELSFace(ELSFaceConfig.lite(channels=8, heads=2, hfeb_blocks=1))
    MirrorSymmetry(network).start(network)
    config = dataclasses.replace(config, symmetric=True)
    trainer = Trainer(network, FaceArray(faces), FaceArray(faces[:1]), config=config)
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


def tiny(**changes) -> ELSFace:
    return loud(ELSFaceConfig.lite(**(dict(channels=8, heads=2, hfeb_blocks=1) | changes)))


def test_shipped_weights_have_it():
    for name in ("lite-x4", "lite-x8"):
        model = load_pretrained(name)
        assert MirrorSymmetry(model).broken(model) < 1e-4


class Gated(nn.Module):
    """A block of somebody's own, who declares nothing."""

    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return self.gain * self.mix(x)


class Joined(nn.Module):
    """Two feature maps, one after the other, through one convolution: its inputs come in two groups of partners."""

    def __init__(self, channels):
        super().__init__()
        self.conv = conv(2 * channels, channels)
        self.block = ResidualBlock(channels)

    def forward(self, x):
        return self.block(self.conv(torch.cat([x, x.square()], 1)))


class Declared(Joined):
    def mirror(self, seen):
        return {"conv": (seen, Partners(2)), "block": seen}


class Mistaken(Joined):
    def mirror(self, seen):
        return {"conv": (seen, seen), "block": seen}


class OwnAttention(WindowAttention):
    """Another computation than its base's, and a temperature for each head."""

    def __init__(self, channels, heads, window):
        super().__init__(channels, heads, window)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))

    def bias(self):
        return super().bias() * self.temperature


class Louder(ResidualBlock):
    """Its base's computation, and more weights, that none of it reads."""

    def __init__(self, channels):
        super().__init__(channels)
        self.unused = nn.Parameter(torch.ones(1))


def refusal(model: nn.Module) -> str:
    with pytest.raises(ElsfaceError, match=r"train\.symmetric=false") as caught:
        MirrorSymmetry(model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_declares_nothing_is_refused_by_name():
    model = tiny()
    model.hfebs[0] = Gated(8)
    assert "hfebs.0.gain is seen in a mirror is not known: give Gated, here hfebs.0, a method" in refusal(model)
    model = tiny()
    model.hfebs[0].blocks[0] = Joined(8)
    assert "hfebs.0.blocks.0.conv.weight is seen" in refusal(model)
    model = tiny()
    model.transformer.rstb.layers[0].attention = OwnAttention(8, 2, 8)
    assert "attention.bias_table is seen" in refusal(model) and "OwnAttention" in refusal(model)
    model = tiny()
    model.cnn.body[1] = Louder(8)
    assert "cnn.body.1.unused is seen" in refusal(model) and "Louder" in refusal(model)
    model = tiny()
    model.cnn.body[1].body[1] = nn.PReLU(8)
    assert "cnn.body.1.body.1.weight is seen" in refusal(model)
    assert "0.weight is seen in a mirror is not known: give Sequential" in refusal(nn.Sequential(nn.Conv2d(3, 4, 3)))
    assert "PReLU" in refusal(nn.PReLU(4))


def test_a_block_that_declares_itself_is_symmetric():
    model = tiny(style="none")
    model.hfebs[0] = Declared(8)
    symmetry = MirrorSymmetry(model)
    assert difference(model) > 0.1
    symmetry.start(model)
    assert difference(model) < 1e-4


def test_what_is_declared_wrong_is_refused():
    model = tiny()
    model.hfebs[0].blocks[0] = Mistaken(8)
    assert "ELSFace is not mirror-symmetric" in refusal(model)
    model = tiny()
    model.hfebs[0].blocks[0].body[1] = nn.ZeroPad2d((1, -1, 0, 0))  # without parameters, but with a side
    assert "ELSFace is not mirror-symmetric" in refusal(model)
    model = tiny()
    model.cnn.body[0] = nn.Conv2d(8, 8, 3, padding=1, groups=2)
    assert "ELSFace is not mirror-symmetric" in refusal(model)


def test_a_network_of_ones_own_can_have_it():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.tail = conv(3, 8), conv(8, 3)
            self.body = nn.Sequential(ResidualBlock(8), ResidualBlock(8))

        def forward(self, lr):
            return F.interpolate(self.tail(self.body(self.head(lr))), scale_factor=2)

        def mirror(self, _):
            return {"head": (FEATURES, COLOURS), "body": FEATURES, "tail": (COLOURS, FEATURES)}

    model, lr = Own(), torch.rand(2, 3, 12, 12)
    symmetry = MirrorSymmetry(nn.DataParallel(model))
    symmetry.start(model)
    with torch.no_grad():
        assert torch.allclose(model(lr.flip(-1)).flip(-1), model(lr), atol=1e-6)
    assert symmetry.broken(torch.compile(model, backend="eager")) < 1e-6


def test_a_subclass_that_only_adds_is_known_and_one_that_computes_otherwise_is_not():
    class Adds(ELSFace):
        def describe(self):
            return "mine"

    class Computes(ELSFace):
        def forward(self, lr):
            return super().forward(lr).roll(1, -1)

    class Clamps(ELSFace):
        def forward(self, lr):
            return super().forward(lr).clamp(0, 1)

        def mirror(self, seen):
            return DECLARED[ELSFace](self, seen)

    config = tiny().config
    assert MirrorSymmetry(Clamps(config))
    assert MirrorSymmetry(Adds(config))
    assert "give Computes a method `mirror`" in refusal(Computes(config))


def test_what_cannot_be_tried_says_why():
    class OneChannel(Declared):
        def mirror(self, seen):
            return {"conv": (COLOURS, COLOURS), "block": COLOURS}

    assert "OneChannel cannot be tried on a face of 16x16 pixels" in refusal(OneChannel(1))


def test_frozen_weights_are_passed_over():
    model = tiny(style="none")
    symmetry = MirrorSymmetry(model)
    symmetry.start(model)
    model.prepare.requires_grad_(False)
    model(torch.rand(1, 3, 16, 16)).square().mean().backward()
    for _ in range(2):
        symmetry.keep(model)
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            assert torch.equal(symmetry.mirrored(name, weight.grad), weight.grad)
    model.zero_grad()
    symmetry.keep(model)


def test_the_network_and_the_random_numbers_stay_as_they_were():
    model = tiny()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    MirrorSymmetry(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
