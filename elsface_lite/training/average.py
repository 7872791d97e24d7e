"""A moving average of a network's weights: what is validated and shipped (chapter 06)."""

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Moves the average towards the network, after a step (Polyak and Juditsky, 1992).

    Args:
        average: a copy of the network, changed in place. Each weight becomes b average + (1 - b) network, where b is
            the smaller of `decay` and (1 + step) / (10 + step): untrained weights are soon forgotten. Buffers are
            copied.
        network: what is trained.
        step: of the run, counted from 0.
        decay: of the average, 0 to 1; 0 averages nothing.
    """
    b = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - b)
    for mine, theirs in zip(average.buffers(), network.buffers(), strict=True):
        mine.copy_(theirs)
