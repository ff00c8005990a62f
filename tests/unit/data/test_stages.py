import itertools
from pathlib import Path

import pytest
import torch

from src.core.errors import ConfigError
from src.data.datamodule import RestorationData
from src.data.datasets.synthetic import Synthetic
from src.data.stages import StagedSampler, Stages

STAGES = Stages(8, 4, [[3, 12, 2], [5, 16, 6]])


def numbers(count: int, *, start: int = 0, **settings: int) -> list[list[int]]:
    sampler = StagedSampler(STAGES, start=lambda: start, **settings)
    return list(itertools.islice(sampler, count))


def test_each_step_has_the_batch_of_its_stage_and_no_sample_is_left_out() -> None:
    batches = numbers(7)
    assert [len(batch) for batch in batches] == [4, 4, 4, 2, 2, 6, 6]
    assert list(itertools.chain(*batches)) == list(range(28))


def test_the_size_of_a_patch_follows_from_its_number() -> None:
    assert [STAGES.of_sample(n).patch_size for n in (0, 11, 12, 15, 16, 99)] == [
        8,
        8,
        12,
        12,
        16,
        16,
    ]
    assert [STAGES.at_step(step).patch_size for step in (0, 2, 3, 4, 5, 99)] == [
        8,
        8,
        12,
        12,
        16,
        16,
    ]


@pytest.mark.parametrize("start", range(7))
def test_sampling_can_begin_at_any_step(start: int) -> None:
    assert numbers(7 - start, start=start) == numbers(7)[start:]


def test_processes_and_accumulated_batches_share_each_batch() -> None:
    whole = numbers(7)
    halves = numbers(14, parts=2)
    assert [halves[i] + halves[i + 1] for i in range(0, 14, 2)] == whole
    ranks = [numbers(7, rank=rank, world=2) for rank in (0, 1)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == whole


def test_batches_of_the_datamodule_grow_into_large_patches(tmp_path: Path) -> None:
    module = RestorationData(
        train=Synthetic(count=2, size=24),
        benchmarks={},
        patch_size=8,
        batch_size=4,
        progressive=[[2, 16, 2]],
        workers=0,
        cache_dir=tmp_path,
    )
    module.setup("fit")
    batches = list(itertools.islice(iter(module.train_dataloader()), 3))
    assert [batch["target"].shape for batch in batches] == [
        torch.Size([4, 3, 8, 8]),
        torch.Size([4, 3, 8, 8]),
        torch.Size([2, 3, 16, 16]),
    ]
    assert module.patch_sizes == (8, 16)


@pytest.mark.parametrize(
    "later",
    [3, {3: [8, 4]}, [3, 8, 4], [[0, 8, 4]], [[3, 8]], [[3, 8, 0]], [[3, 8.5, 4]], [["3", 8, 4]]],
)
def test_what_is_no_schedule_is_refused_with_an_example(later: object) -> None:
    with pytest.raises(
        ConfigError, match=r"data\.progressive=.*e\.g\. data\.progressive=\[\[92000"
    ):
        Stages(8, 4, later)


def test_steps_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ConfigError, match="the steps must rise"):
        Stages(8, 4, [[5, 8, 4], [3, 8, 4]])


def test_a_later_batch_that_cannot_be_shared_is_refused_by_its_key() -> None:
    with pytest.raises(
        ConfigError, match=r"progressive\[3\]=2 cannot.*multiple of 4, for example 4"
    ):
        STAGES.check_shares(world=2, accumulated=2)
