"""Muon, the optimizer of the preset `lite`: after one epoch 0.09 dB ahead of Adam (data/optimizer.csv; chapter 06)."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
# Of the quintic whose iteration draws singular values from anywhere in (0, 1] to about 1 (Jordan et al. 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Nearly the closest matrices whose singular values are all 1, by five Newton-Schulz iterations.

    An iteration takes X to F X, where F is a polynomial of the Gram matrix X X^T. So it is enough to follow that, from
    G to F G F, and to multiply X once, by the product of all F. A kernel (64, 576) takes 10 million multiply-adds by
    this, and 25 if X is multiplied each time.

    Args:
        matrices: (..., rows, columns).

    Returns:
        (..., rows, columns), with the singular vectors of `matrices` and singular values between 0.7 and 1.2; those
        that were below a thousandth of a matrix's norm may come out smaller.
    """
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    gram = x @ x.mT
    product = one = torch.eye(gram.shape[-1], device=gram.device)
    for _ in range(5):
        factor = a * one + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    x = product @ x
    return x.mT if tall else x


def hidden_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Kernels and matrices from features to features, by name: none that reads or writes colours, no bias table."""
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and 3 not in parameter.shape[:2] and not name.endswith("bias_table")
    }


class Muon(torch.optim.Adam):
    """Momentum with an orthogonalised step for hidden weights, Adam for all other parameters.

    A step changes every direction of a weight matrix by the same amount, where Adam's is governed by a few of them
    (Jordan et al., Muon, 2024). It is scaled to the size of Adam's step, so that one learning rate serves both
    (Liu et al., Muon is Scalable for LLM Training, 2025, section 2.2). torch.optim.Muon takes no convolution kernels,
    and computes in bfloat16, which many processors lack.

    Args:
        model: whose parameters are trained; kernels (o, i, h, w) count as matrices (o, i h w).
        lr: learning rate.
        betas: of Adam.
        weight_decay: of Adam's share, as in Adam.
    """

    def __init__(
        self, model: nn.Module, lr: float, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        super().__init__(model.parameters(), lr, betas, weight_decay=weight_decay)
        # A GPU works on all matrices of one shape at once; on a CPU one at a time stays in the cache.
        alike: dict[Any, list[nn.Parameter]] = defaultdict(list)
        for name, weight in hidden_weights(model).items():
            alike[name if weight.device.type == "cpu" else weight.shape].append(weight)
        self.hidden = list(alike.values())

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> None:  # type: ignore[override]
        """Changes every parameter by its gradient; the gradients of hidden weights are used up."""
        lr = self.param_groups[0]["lr"]
        for alike in self.hidden:
            weights = [weight for weight in alike if weight.grad is not None]
            if not weights:
                continue
            updates = torch.stack([self._update(weight) for weight in weights]).flatten(2)
            scale = 0.2 * max(updates.shape[1:]) ** 0.5
            for weight, update in zip(weights, orthogonalize(updates), strict=True):
                weight.sub_(update.view(weight.shape), alpha=lr * scale)
                weight.grad = None  # so that Adam passes it over
        torch.optim.Adam.step(self, closure)

    def _update(self, weight: nn.Parameter) -> Tensor:
        """Where the momentum of a weight points after this step's gradient (Nesterov's)."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros(())  # Adam expects one in every state that it loads
            state["momentum"] = torch.zeros_like(weight)
        state["step"] += 1
        state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
        return weight.grad.lerp(state["momentum"], MOMENTUM)
