"""Which image is seen when: pure functions of (seed, step, rank), so that a run can go on anywhere.

Training samples have numbers 0, 1, 2, …, for ever. A step's numbers follow from the step, a
number's image from :func:`image_of_sample`, its crop and flips from a seed made of the number.
"""

import functools
from collections.abc import Callable, Iterator

import torch
from torch.utils.data import Sampler, SequentialSampler

from src.core.errors import ConfigError
from src.core.seeding import generator_for


class StepSampler(Sampler[list[int]]):
    """Endless batches of sample numbers for one process; together the processes see each once.

    The global batch of step t is t·batch … (t + 1)·batch − 1 whatever the number of processes;
    process ``rank`` takes its contiguous share.

    Args:
        batch: Samples a step, of all processes together.
        start: Called when an iteration begins; returns the step to begin with.
        rank: This process, 0 ≤ rank < world.
        world: Number of processes.

    Raises:
        ConfigError: If ``world`` does not divide ``batch``.
    """

    def __init__(
        self, batch: int, *, start: Callable[[], int], rank: int = 0, world: int = 1
    ) -> None:
        if batch < 1 or batch % world:
            raise ConfigError(f"A batch of {batch} cannot be shared by {world} processes.")
        self.batch, self.start, self.rank, self.world = batch, start, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch // self.world
        first = self.start() * self.batch + self.rank * share
        while True:
            yield list(range(first, first + share))
            first += self.batch


class UnpaddedSampler(SequentialSampler):
    """Items rank, rank + world, …: every item once, none twice, unlike DistributedSampler.

    Where there are more processes than items, those that would have none score the last one too,
    because Lightning leaves a process without a batch out of the loop, and the others would wait
    for it for ever. A scoreboard counts each key once.

    Args:
        count: Number of items.
        rank: This process, 0 ≤ rank < world.
        world: Number of processes.
    """

    def __init__(self, count: int, *, rank: int = 0, world: int = 1) -> None:
        items = range(min(rank, max(0, count - 1)), count, world)
        super().__init__(items)  # Lightning asks for the type, to know that nothing is shuffled
        self._items = items

    def __iter__(self) -> Iterator[int]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


def image_of_sample(number: int, *, count: int, seed: int) -> int:
    """Return which of ``count`` images sample ``number`` shows; each once in every ``count``."""
    epoch, place = divmod(number, count)
    return _order(epoch, count, seed)[place]


@functools.lru_cache(maxsize=4)
def _order(epoch: int, count: int, seed: int) -> list[int]:
    generator = generator_for("cpu", "order", seed, epoch)
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    return order
