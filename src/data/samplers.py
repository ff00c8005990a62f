"""Which sample is seen when: functions of (seed, step, rank), so that a run can go on anywhere.

Training samples have numbers 0, 1, 2, …, for ever, through all stages of progressive training. A
step's numbers follow from the step, a number's image from :func:`image_of_sample`, its crop from a
seed made of the number.
"""

import functools
import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler, SequentialSampler

from src.core.errors import ConfigError
from src.core.seeding import generator_for


@dataclass(frozen=True)
class Stage:
    """A stretch of training with patches and batches of one size."""

    key: str  # the setting that it comes from, for messages
    first_step: int  # optimizer steps done before it
    first_sample: int  # samples seen before it
    patch_size: int  # side of a patch in pixels
    batch_size: int  # patches an optimizer step, of all processes and accumulated batches together


class Stages:
    """Progressive training: patch and batch size as pure functions of the step.

    Small patches in large batches first, large patches in small batches later (Restormer, Zamir et
    al., 2022, arXiv:2111.09881, Sec. 3.3). The last stage has no end.

    Args:
        patch_size: Side of a patch in pixels, at first.
        batch_size: Patches an optimizer step, at first.
        later: Rows of [step, patch_size, batch_size], each from that step on; None for one stage.

    Raises:
        ConfigError: If ``later`` is something else, or its steps do not rise from 1.
    """

    def __init__(self, patch_size: int, batch_size: int, later: object = None) -> None:
        self._all = [Stage("data.batch_size", 0, 0, patch_size, batch_size)]
        for step, patch, batch in [] if later is None else _checked(later):
            last = self._all[-1]
            first = last.first_sample + (step - last.first_step) * last.batch_size
            self._all.append(Stage(f"data.progressive[{step}]", step, first, patch, batch))
        self._steps = [stage.first_step for stage in self._all]
        self._samples = [stage.first_sample for stage in self._all]

    def __iter__(self) -> Iterator[Stage]:
        return iter(self._all)

    def at_step(self, step: int) -> Stage:
        """Return the stage of optimizer step ``step``, counted from 0."""
        return self._all[bisect_right(self._steps, step) - 1]

    def of_sample(self, number: int) -> Stage:
        """Return the stage in which sample ``number`` is seen."""
        return self._all[bisect_right(self._samples, number) - 1]

    def check_shares(self, *, world: int, accumulated: int) -> None:
        """Refuse batches that cannot be shared evenly.

        Raises:
            ConfigError: Naming the setting and the next possible batch.
        """
        shares = world * accumulated
        for stage in self._all:
            if stage.batch_size % shares:
                above = -(-stage.batch_size // shares) * shares
                raise ConfigError(
                    f"{stage.key}={stage.batch_size} cannot be shared evenly by {world} processes "
                    f"× {accumulated} accumulated batches; take a multiple of {shares}, "
                    f"for example {above}."
                )


def _checked(later: object) -> list[tuple[int, int, int]]:
    """Return ``data.progressive`` as (step, patch_size, batch_size), or refuse it."""
    rows = [_row(row) for row in later] if isinstance(later, list | tuple) else [None]
    stages = [row for row in rows if row is not None]
    if len(stages) < len(rows):
        raise ConfigError(
            f"data.progressive={later} is not possible; give rows [step, patch_size, batch_size] "
            "of whole numbers from 1, e.g. data.progressive=[[92000,160,40],[156000,192,32]]; what "
            "holds from step 0 are data.patch_size and data.batch_size."
        )
    if any(after[0] <= before[0] for before, after in itertools.pairwise(stages)):
        raise ConfigError(f"data.progressive={later}: the steps must rise.")
    return stages


def _row(row: object) -> tuple[int, int, int] | None:
    given = list(row) if isinstance(row, list | tuple) else []
    whole = [number for number in given if type(number) is int and number >= 1]
    return (whole[0], whole[1], whole[2]) if len(whole) == len(given) == 3 else None


class StagedSampler(Sampler[list[int]]):
    """Endless batches of sample numbers for one process; together the processes see each once.

    The numbers of a step are the same whatever the number of processes and accumulated batches;
    process ``rank`` takes its contiguous share of each batch.

    Args:
        stages: Patch and batch sizes.
        start: Called when an iteration begins; returns the optimizer step to begin with.
        parts: Batches that are accumulated for one optimizer step.
        rank: This process, 0 ≤ rank < world.
        world: Number of processes.

    Raises:
        ConfigError: If a batch cannot be shared evenly.
    """

    def __init__(
        self,
        stages: Stages,
        *,
        start: Callable[[], int],
        parts: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        stages.check_shares(world=world, accumulated=parts)
        self.stages, self.start, self.parts = stages, start, parts
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[list[int]]:
        for step in itertools.count(self.start()):
            stage = self.stages.at_step(step)
            share = stage.batch_size // (self.parts * self.world)
            first = stage.first_sample + (step - stage.first_step) * stage.batch_size
            for part in range(self.parts):
                begin = first + (part * self.world + self.rank) * share
                yield list(range(begin, begin + share))


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


def set_of_sample(number: int, *, shares: tuple[int, ...], seed: int) -> tuple[int, int]:
    """Return which of several sets sample ``number`` is of, and which sample of that set it is.

    In every ``sum(shares)`` samples each set has exactly its share, in an order of their own.
    """
    cycle, place = divmod(number, sum(shares))
    order = _cycle(cycle, shares, seed)
    which = order[place]
    return which, cycle * shares[which] + order[:place].count(which)


@functools.lru_cache(maxsize=4)
def _cycle(cycle: int, shares: tuple[int, ...], seed: int) -> list[int]:
    generator = generator_for("cpu", "shares", seed, cycle)
    sets = [which for which, share in enumerate(shares) for _ in range(share)]
    return [sets[place] for place in torch.randperm(len(sets), generator=generator).tolist()]
