"""What a checkpoint must hold: the last task of chapter 06."""

import copy
import io
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ...training.average import update_average
from ...training.config import TrainConfig
from .chapter06 import random
from .compare import FORGOTTEN, Checks


def _new_run() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Conv2d(3, 3, 3, padding=1)
    average, optimizer = copy.deepcopy(network), torch.optim.Adam(network.parameters(), 0.05)
    return SimpleNamespace(step=0, network=network, average=average, optimizer=optimizer, config=TrainConfig())


def _go_on(run: Any, steps: int) -> list[float]:
    """Some steps; each batch is a function of the number of its step."""
    losses = []
    for _ in range(steps):
        lr, hr = random(2, 3, 6, 6, seed=run.step), random(2, 3, 6, 6, seed=run.step + 1000)
        loss = F.mse_loss(run.network(lr), hr)
        run.optimizer.zero_grad()
        loss.backward()
        run.optimizer.step()
        update_average(run.average, run.network, run.step, 0.9)
        run.step += 1
        losses += [loss.item(), F.mse_loss(run.average(lr), hr).item()]
    return losses


def _restore(run: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        part = getattr(run, name)
        if hasattr(part, "load_state_dict"):
            part.load_state_dict(value)
        else:
            setattr(run, name, value)


NEEDED = {
    "network": "Without the weights of the network there is nothing to go on with.",
    "average": "The average is missing: it remembers steps that nobody can take again.",
    "optimizer": "The optimizer is missing: it has averages of the gradients so far.",
    "step": "The step is missing: which faces come next, and at which rate?",
}


def check_checkpoint(answer: Any) -> str:
    run = _new_run()
    _go_on(run, 4)
    state = answer(run)
    if state is None:
        return FORGOTTEN
    if not isinstance(state, dict):
        return f"A dictionary is asked for, the name of a part and its state; yours is a {type(state).__name__}."
    for name, words in NEEDED.items():
        if name not in state:
            return words
    if unknown := [name for name in state if not hasattr(run, str(name))]:
        return f"The run has no part {unknown[0]!r}: `restore` would not know where to put it."
    if "config" in state:
        return "The config is no state: it is the same before the first step and after the last. A run writes it once."
    packed = io.BytesIO()
    torch.save(state, packed)
    packed.seek(0)
    try:
        state = torch.load(packed, weights_only=True)
    except Exception:
        return "Tensors and plain values only, which can be read without running code: `state_dict()` gives them."
    expected, fresh = _go_on(run, 3), _new_run()
    _restore(fresh, state)
    fresh.step = int(fresh.step)
    if fresh.step + 3 != run.step:
        return f"The step should be {run.step - 3}; yours is {fresh.step}."
    return (
        "" if _go_on(fresh, 3) == expected else "Resumed from it, the run is not the same: is each state of its part?"
    )


CHECKS: Checks = {"checkpoint": check_checkpoint}
