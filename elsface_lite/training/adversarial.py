"""A loss that learns what real detail looks like: a discriminator of the high bands (chapter 09)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network.blocks import conv

DETAIL = 10.0  # brings the high bands of a face, whose standard deviation is 0.05, to the range of the low one


def haar_bands(image: Tensor) -> tuple[Tensor, Tensor]:
    """The Haar wavelet of an image: what 2x2 pixels have in common, and how they differ.

    Args:
        image: (b, 3, 2h, 2w).

    Returns:
        The low band, (b, 3, h, w), and three high ones, (b, 9, h, w): along x, along y and crosswise. Together their
        values have the squares that the pixels have.
    """
    blocks = [[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]]
    kernels = torch.einsum("kij,cd->kcdij", image.new_tensor(blocks) / 2, torch.eye(3).to(image))
    low, *high = F.conv2d(image, kernels.flatten(0, 1), stride=2).split(3, 1)
    return low, torch.cat(high, 1)


class Discriminator(nn.Module):
    """Judges whether fine detail is real, patch by patch.

    Args:
        width: channels of the first layer; the next have twice and four times as many.

    Shape: detail (b, 9, h, w) and the coarse picture that it belongs to (b, 3, h, w) -> (b, 1, h / 8, w / 8), higher
        for what looks real.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((12, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [conv(inputs, outputs), nn.LeakyReLU(0.2), nn.AvgPool2d(2)]
        self.layers = nn.Sequential(*layers, conv(4 * width, 4 * width), nn.LeakyReLU(0.2), conv(4 * width, 1))
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):  # PyTorch's own start lets a signal fade from layer to layer
                nn.init.kaiming_normal_(layer.weight, 0.2)

    def forward(self, detail: Tensor, coarse: Tensor) -> Tensor:
        return self.layers(torch.cat([detail, coarse], 1))


class AdversarialLoss(nn.Module):
    """How much less real the detail of SR looks than that of HR, to a discriminator that is trained along.

    It sees the three high Haar bands of a picture, and beside them the low band of HR: it judges whether this detail
    may belong to this face, and has nothing to say about the face itself. A quarter of the pixels makes it cheap.

    Relativistic, and held back by the gradients at real and at restored faces (R3GAN; Huang et al., NeurIPS 2024).

    Args:
        discriminator: (detail, coarse) -> any number of judgements.
        learning_rate: of its Adam, with beta1 = 0.
        penalty: gamma, the weight of the squared gradients.
        penalty_every: in steps; they are weighted so many times as much.
        precision: that the discriminator computes in.

    Shape: (b, 3, h, w) and (b, 3, h, w) in [0, 1], h and w multiples of 16 -> scalar.
    """

    def __init__(
        self,
        discriminator: nn.Module | None = None,
        learning_rate: float = 2e-4,
        penalty: float = 0.2,
        penalty_every: int = 8,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.discriminator = (Discriminator() if discriminator is None else discriminator).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), learning_rate, (0.0, 0.99))
        self.penalty, self.penalty_every, self.precision, self.step = penalty, penalty_every, precision, 0

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """What the network minimises."""
        return F.softplus(self.judge(hr, hr) - self.judge(sr, hr)).mean()

    def judge(self, image: Tensor, hr: Tensor) -> Tensor:
        """What the discriminator says of the detail of an image, SR or HR, on the coarse picture of HR."""
        with torch.autocast(image.device.type, self.precision, enabled=self.precision != torch.float32):
            return self.discriminator(DETAIL * haar_bands(image)[1], haar_bands(hr)[0]).float()

    def update(self, sr: Tensor, hr: Tensor) -> Tensor:
        """One step of the discriminator.

        Args:
            sr, hr: (b, 3, h, w), what the network made, and what it should have made.

        Returns:
            Its loss without the penalty: log 2 while it cannot tell them apart.
        """
        images = [image.detach().requires_grad_(self.step % self.penalty_every == 0) for image in (sr, hr)]
        self.discriminator.requires_grad_(True)
        judgements = [self.judge(image, hr) for image in images]
        loss = F.softplus(judgements[0] - judgements[1]).mean()
        self.optimizer.zero_grad()
        (loss + self.penalty_every * self.penalty / 2 * squared_gradients(judgements, images)).backward()
        self.optimizer.step()
        self.discriminator.requires_grad_(False)  # the network's loss changes the network alone
        self.step += 1
        return loss.detach()

    def get_extra_state(self) -> dict[str, Any]:
        """What the next step depends on beside the weights."""
        return {"step": self.step, "optimizer": self.optimizer.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Goes on from there."""
        self.step = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])


def squared_gradients(judgements: list[Tensor], images: list[Tensor]) -> Tensor:
    """How steep the discriminator is at these images: the mean over all judgements; 0 if nobody asked for gradients.

    Args:
        judgements: of each batch of images.
        images: (b, c, h, w) each.
    """
    if not images[0].requires_grad:
        return judgements[0].new_zeros(())
    gradients = torch.autograd.grad([one.sum() for one in judgements], images, create_graph=True)
    return sum(gradient.square().sum() for gradient in gradients) / judgements[0].numel()  # type: ignore[return-value]
