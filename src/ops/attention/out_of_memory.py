"""Going on with less where a device runs out of memory."""

import functools
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

logger = logging.getLogger(__name__)

T = TypeVar("T")

GIVE_UP = 2**20
"""Budgets below this many bytes are not halved again."""


def halve_when_full(work: Callable[[int], T], budget: int) -> T:
    """Return ``work(budget)``, with half the budget again and again while the device is full.

    Raises:
        RuntimeError: If it is full even with the smallest budget; on a GPU torch.OutOfMemoryError.
    """
    while True:
        try:
            return work(budget)
        except RuntimeError as error:
            if budget <= GIVE_UP or not is_full(error):
                raise
        # outside the handler, where the error no longer holds the blocks that did not fit
        budget //= 2
        _say(budget)


def is_full(error: RuntimeError) -> bool:
    """Return whether it says that memory is used up, on a GPU or, where there is a limit, the CPU.

    Torch's allocator for the CPU has no error of its own.
    """
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@functools.cache  # one line, not one in each step of training
def _say(budget: int) -> None:
    logger.warning(
        "The device is out of memory: attention goes on in blocks of %.1f MiB, which is slower. "
        "Set attention.memory_budget=%d to begin there, or use smaller images or batches.",
        budget / 2**20,
        budget,
    )
