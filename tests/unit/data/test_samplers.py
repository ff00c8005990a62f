import itertools
from collections import Counter

import pytest

from src.core.errors import ConfigError
from src.data.samplers import StepSampler, UnpaddedSampler, image_of_sample


def batches(count: int, *, start: int = 0, rank: int = 0, world: int = 1) -> list[list[int]]:
    sampler = StepSampler(6, start=lambda: start, rank=rank, world=world)
    return list(itertools.islice(sampler, count))


@pytest.mark.parametrize("world", [2, 3])
def test_the_global_batch_is_the_same_for_any_number_of_processes(world: int) -> None:
    ranks = [batches(4, rank=rank, world=world) for rank in range(world)]
    joined = [list(itertools.chain(*shares)) for shares in zip(*ranks, strict=True)]
    assert joined == batches(4)


def test_a_later_start_is_the_tail_of_an_earlier_one() -> None:
    assert batches(3, start=5, rank=1, world=2) == batches(8, rank=1, world=2)[5:]


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match="6 cannot be shared by 4"):
        StepSampler(6, start=lambda: 0, world=4)


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
