"""Several things at a time, each in a thread of its own."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch

Given = TypeVar("Given")
Made = TypeVar("Made")


def in_lanes(do: Callable[[Given], Made], given: Sequence[Given], lanes: int) -> Generator[Made]:
    """Does what is given in some threads at once, which share PyTorch's threads, and yields what each gives, in order.

    Two cores that each compute a batch are faster than two that share one: none of them waits for the other at the end
    of every layer, nor for files. Decoding, encoding and the networks leave Python to other threads.

    Args:
        do: what is done with each.
        given: each of them.
        lanes: at most so many threads, and no more than PyTorch has.
    """
    threads = torch.get_num_threads()
    lanes = min(lanes, len(given), threads)
    if lanes < 2:
        yield from map(do, given)
        return
    try:
        with ThreadPoolExecutor(lanes, initializer=partial(torch.set_num_threads, threads // lanes)) as pool:
            yield from pool.map(do, given)
    finally:
        torch.set_num_threads(threads)  # threads that are made later take over what was set last
