"""A loss that learns what real detail looks like: a discriminator (chapter 09)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network.blocks import conv


class Discriminator(nn.Module):
    """Judges whether a picture could be one, patch by patch: each judgement sees 110x110 pixels.

    Args:
        width: channels of the second layer; the first has half, the next have twice and four times as many.

    Shape: (b, 3, h, w) in [0, 1] -> (b, 1, h / 16, w / 16), higher for what looks real.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, width // 2), (width // 2, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [conv(inputs, outputs), nn.LeakyReLU(0.2), nn.AvgPool2d(2)]
        self.layers = nn.Sequential(*layers, conv(4 * width, 4 * width), nn.LeakyReLU(0.2), conv(4 * width, 1))
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):  # PyTorch's own start lets a signal fade from layer to layer
                nn.init.kaiming_normal_(layer.weight, 0.2)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(4 * image - 2)  # to about the range that its layers were made for


class AdversarialLoss(nn.Module):
    """How much less real SR looks than HR, to a discriminator that is trained along.

    Relativistic, and held back by the gradients at real and at restored faces (R3GAN; Huang et al., NeurIPS 2024).

    Args:
        discriminator: image -> any number of judgements.
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
        penalty: float = 0.01,
        penalty_every: int = 8,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.discriminator = (Discriminator() if discriminator is None else discriminator).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), learning_rate, (0.0, 0.99))
        self.penalty, self.penalty_every, self.precision, self.step = penalty, penalty_every, precision, 0

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """What the network minimises."""
        return F.softplus(self.judge(hr) - self.judge(sr)).mean()

    def judge(self, image: Tensor) -> Tensor:
        """What the discriminator says of images, SR or HR."""
        with torch.autocast(image.device.type, self.precision, enabled=self.precision != torch.float32):
            return self.discriminator(image).float()

    def update(self, sr: Tensor, hr: Tensor) -> Tensor:
        """One step of the discriminator.

        Args:
            sr, hr: (b, 3, h, w), what the network made, and what it should have made.

        Returns:
            Its loss without the penalty: log 2 while it cannot tell them apart.
        """
        images = [image.detach().requires_grad_(self.step % self.penalty_every == 0) for image in (sr, hr)]
        self.discriminator.requires_grad_(True)
        judgements = [self.judge(image) for image in images]
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
