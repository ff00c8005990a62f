"""Progressive training: patch and batch size as pure functions of the step.

Small patches in large batches first, large patches in small batches later (Restormer, Zamir et al.,
2022, arXiv:2111.09881, Sec. 3.3). Samples keep their numbers 0, 1, 2, … through all stages, so a
resumed run sees what an uninterrupted one sees.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

from torch.utils.data import Sampler

from src.core.errors import ConfigError
from src.data.samplers import StepSampler
from src.data.settings import check_whole


@dataclass(frozen=True)
class Stage:
    """A stretch of training with patches and batches of one size.

    Attributes:
        key: The setting that it comes from, for messages.
        first_step: Optimizer steps done before it.
        first_sample: Samples seen before it.
        patch_size: Side of a patch in pixels.
        batch_size: Patches an optimizer step, of all processes and accumulated batches together.
    """

    key: str
    first_step: int
    first_sample: int
    patch_size: int
    batch_size: int


class Stages:
    """The stages of a training, in order; the last one has no end.

    Args:
        patch_size: Side of a patch in pixels, at first.
        batch_size: Patches an optimizer step, at first.
        later: Rows of [step, patch_size, batch_size], each from that step on; None for one stage.

    Raises:
        ConfigError: If ``later`` is something else, or its steps do not rise from 1.
    """

    def __init__(self, patch_size: int, batch_size: int, later: object = None) -> None:
        check_whole("patch_size", patch_size, least=1)
        check_whole("batch_size", batch_size, least=1)
        self._all = [Stage("data.batch_size", 0, 0, patch_size, batch_size)]
        for step, patch, batch in _checked([] if later is None else later):
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

    def end_of(self, stage: Stage) -> int | None:
        """Return the first step after ``stage``; None for the last one."""
        later = bisect_right(self._steps, stage.first_step)
        return self._steps[later] if later < len(self._steps) else None

    def check_shares(self, *, world: int, accumulated: int) -> None:
        """Refuse batches that cannot be shared evenly.

        Raises:
            ConfigError: Naming the setting and the next possible batch.
        """
        shares = world * accumulated
        for stage in self:
            if stage.batch_size % shares:
                above = -(-stage.batch_size // shares) * shares
                raise ConfigError(
                    f"{stage.key}={stage.batch_size} cannot be shared evenly by {world} processes "
                    f"× {accumulated} accumulated batches; take a multiple of {shares}, "
                    f"for example {above}."
                )


class StagedSampler(Sampler[list[int]]):
    """Endless batches of sample numbers for one process, stage after stage.

    Args:
        stages: Their batch sizes must be multiples of ``parts`` · ``world``.
        start: Called when an iteration begins; returns the optimizer step to begin with.
        parts: Batches that are accumulated for one optimizer step.
        rank: This process, 0 ≤ rank < world.
        world: Number of processes.
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
        self.stages, self.start, self.parts = stages, start, parts
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[list[int]]:
        step: int | None = self.start()
        while step is not None:
            stage = self.stages.at_step(step)
            end = self.stages.end_of(stage)
            batches = self._batches(stage, (step - stage.first_step) * self.parts)
            yield from islice(batches, None if end is None else (end - step) * self.parts)
            step = end

    def _batches(self, stage: Stage, done: int) -> Iterator[list[int]]:
        """Yield the batches of ``stage`` without end, ``done`` of them left out."""
        batch = stage.batch_size // self.parts
        sampler = StepSampler(batch, start=lambda: done, rank=self.rank, world=self.world)
        for numbers in sampler:
            yield [stage.first_sample + number for number in numbers]


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
    if any(after[0] <= before[0] for before, after in pairwise(stages)):
        raise ConfigError(f"data.progressive={later}: the steps must rise.")
    return stages


def _row(row: object) -> tuple[int, int, int] | None:
    given = list(row) if isinstance(row, list | tuple) else []
    whole = [number for number in given if type(number) is int and number >= 1]
    return (whole[0], whole[1], whole[2]) if len(whole) == len(given) == 3 else None
