import itertools
from collections import Counter
from pathlib import Path

import pytest
import torch

from src.core.errors import ConfigError
from src.data.datamodule import RestorationData
from src.data.datasets.synthetic import Synthetic
from src.data.samplers import StagedSampler, Stages, UnpaddedSampler, image_of_sample

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


@pytest.mark.parametrize("world", [2, 3])
def test_the_global_batch_is_the_same_for_any_number_of_processes(world: int) -> None:
    def batches(rank: int, world: int) -> list[list[int]]:
        sampler = StagedSampler(Stages(8, 6), start=lambda: 5, rank=rank, world=world)
        return list(itertools.islice(sampler, 4))

    ranks = [batches(rank, world) for rank in range(world)]
    joined = [list(itertools.chain(*shares)) for shares in zip(*ranks, strict=True)]
    assert joined == batches(0, 1)
    assert joined[0][0] == 30


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
    refusal = r"progressive\[3\]=2 cannot.*multiple of 4, for example 4"
    with pytest.raises(ConfigError, match=refusal):
        STAGES.check_shares(world=2, accumulated=2)
    with pytest.raises(ConfigError, match=refusal):
        numbers(1, parts=2, world=2)


def test_each_image_is_shown_once_a_pass_in_another_order_each_time() -> None:
    passes = [
        [image_of_sample(7 * epoch + place, count=7, seed=0) for place in range(7)]
        for epoch in range(3)
    ]
    assert all(sorted(order) == list(range(7)) for order in passes)
    assert len({tuple(order) for order in passes}) == 3


def test_the_order_depends_on_the_seed() -> None:
    first, second = (
        [image_of_sample(number, count=50, seed=seed) for number in range(50)] for seed in (0, 1)
    )
    assert first != second


def test_no_process_is_left_without_an_item_where_there_are_more_processes() -> None:
    # Lightning would leave it out of the loop, and the others would wait for it.
    assert [list(UnpaddedSampler(2, rank=rank, world=4)) for rank in range(4)] == [
        [0],
        [1],
        [1],
        [1],
    ]


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_evaluation_takes_every_item_once_and_none_twice(world: int) -> None:
    taken = [UnpaddedSampler(5, rank=rank, world=world) for rank in range(world)]
    assert Counter(itertools.chain(*taken)) == Counter(range(5))
    assert sum(map(len, taken)) == 5
