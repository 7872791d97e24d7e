"""The batches of a run, each a function of seed and step: a loader may begin anywhere, with any number of workers."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..data.pairs import FacePairs
from .config import TrainConfig
from .schedule import batch_indices, shifted

Pair = tuple[Tensor, Tensor]


class Batches(Dataset[Pair]):
    """The batch of each step: LR (b, 3, h, w) and HR (b, 3, H, W), in [0, 1]; item `step` is that of the step.

    HR faces (`FacePairs`) are mirrored and moved, and degraded after that, anew at each step. Of other pairs, whose LR
    is given, half are mirrored.

    Args:
        pairs: (LR, HR) by index.
        config: seed, batch size, flips and shift.
        process, processes: which of them takes which share of each batch.
    """

    def __init__(self, pairs: Dataset[Pair], config: TrainConfig, process: int = 0, processes: int = 1) -> None:
        self.pairs, self.config, self.share = pairs, config, slice(process, None, processes)

    def __len__(self) -> int:
        return self.config.epochs * (len(self.pairs) // self.config.batch_size)  # type: ignore[arg-type]

    def __getitem__(self, step: int) -> Pair:
        drawn = batch_indices(self.config, step, len(self.pairs))  # type: ignore[arg-type]
        items = [self.pair(step, *row) for row in zip(*(part[self.share].tolist() for part in drawn), strict=True)]
        lr, hr = zip(*items, strict=True)
        return torch.stack(lr), torch.stack(hr)

    def pair(self, step: int, index: int, flip: bool, shift: list[int]) -> Pair:
        """One pair of the batch of a step."""
        if not isinstance(self.pairs, FacePairs):
            lr, hr = self.pairs[index]
            return (lr.flip(-1), hr.flip(-1)) if flip else (lr, hr)
        hr = self.pairs.hr(index)
        return self.pairs.pair(shifted(hr.flip(-1) if flip else hr, *shift), step, index)
