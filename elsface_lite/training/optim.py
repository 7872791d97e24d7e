"""Muon, the optimizer of the preset `lite`: after one epoch 0.09 dB ahead of Adam (data/optimizer.csv; chapter 06)."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

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
        (..., rows, columns), float32 or more precise, with the singular vectors of `matrices` and singular values
        between 0.7 and 1.2; those that were below a thousandth of a matrix's norm may come out smaller.
    """
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    gram = x @ x.mT
    product = one = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    for _ in range(5):
        factor = a * one + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    x = product @ x
    return x.mT if tall else x


def muon_groups(model: nn.Module) -> list[dict[str, Any]]:
    """A network's parameters in the two groups that Muon knows, by what each module is.

    Args:
        model: any network.

    Returns:
        First the weights of nn.Conv2d and nn.Linear from features to features: none that reads or writes colours, none
        of a convolution in groups. Then all others: biases, norms, tables of biases, bare parameters.
    """
    hidden: dict[nn.Parameter, None] = {}
    for layer in model.modules():
        match layer:
            case nn.Conv2d(groups=1, in_channels=a, out_channels=b) | nn.Linear(in_features=a, out_features=b):
                weight = layer._parameters.get("weight")  # none if it is computed, as with a weight norm
                if weight is not None and 3 not in (a, b):
                    hidden[weight] = None
    rest = [parameter for parameter in model.parameters() if parameter not in hidden]
    return [{"params": list(hidden), "orthogonal": True}, {"params": rest, "orthogonal": False}]


class Muon(torch.optim.Optimizer):
    """Momentum with an orthogonalised step for hidden weights, Adam for all other parameters.

    A step changes every direction of a weight matrix by the same amount, where Adam's is governed by a few of them
    (Jordan et al., Muon, 2024). It is scaled to the size of Adam's step, so that one learning rate serves both
    (Liu et al., Muon is Scalable for LLM Training, 2025, section 2.2). torch.optim.Muon (2.15) takes matrices only, no
    convolution kernels, has no Adam for what remains, and computes in bfloat16, which many processors lack.

    Args:
        params: parameters, or groups of them, as `muon_groups(model)` makes them. A group with `orthogonal=True`, the
            default, steps by Muon; kernels (o, i, h, w) count as matrices (o, i h w). What is neither a kernel nor a
            matrix steps by Adam in any group.
        lr: learning rate.
        betas: of Adam's two averages.
        weight_decay: each step first shrinks every parameter by the share lr weight_decay, as AdamW does.
        momentum: of the average of gradients that is orthogonalised (Nesterov's).

    Raises:
        ValueError: one of these is out of its range.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), not {momentum}.")
        adam = torch.optim.AdamW([torch.zeros(0)], lr, betas, weight_decay=weight_decay)  # checks these
        super().__init__(params, adam.defaults | {"momentum": momentum, "orthogonal": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Changes every parameter that has a gradient.

        Args:
            closure: computes the loss and the gradients anew, first of all.

        Returns:
            The closure's loss, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        others = []
        for group in self.param_groups:
            chosen = [weight for weight in group["params"] if group["orthogonal"] and self._is_matrix(weight)]
            self._orthogonal_step(group, [weight for weight in chosen if weight.grad is not None])
            taken = set(chosen)
            others.append(group | {"params": [weight for weight in group["params"] if weight not in taken]})
        adam = torch.optim.AdamW(others)
        adam.state = self.state
        adam.step()
        return loss

    def _orthogonal_step(self, group: dict[str, Any], weights: list[nn.Parameter]) -> None:
        # A GPU works on all matrices of one shape at once; on a CPU one at a time stays in the cache.
        alike: dict[Any, list[nn.Parameter]] = defaultdict(list)
        for weight in weights:
            alike[weight if weight.device.type == "cpu" else (weight.shape, weight.dtype, weight.device)].append(weight)
        for same in alike.values():
            updates = torch.stack([self._update(weight, group["momentum"]) for weight in same]).flatten(2)
            rate, scale = float(group["lr"]), 0.2 * max(updates.shape[1:]) ** 0.5
            for weight, update in zip(same, orthogonalize(updates), strict=True):
                if group["weight_decay"]:
                    weight.mul_(1 - rate * group["weight_decay"])
                weight.sub_(update.view(weight.shape), alpha=rate * scale)

    def _update(self, weight: nn.Parameter, momentum: float) -> Tensor:
        """Where the momentum of a weight points after this step's gradient (Nesterov's)."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(weight.grad, 1 - momentum)
        return weight.grad.lerp(state["momentum"], momentum)

    @staticmethod
    def _is_matrix(weight: Tensor) -> bool:
        return weight.ndim in (2, 4) and min(len(weight), weight[0].numel()) > 1
