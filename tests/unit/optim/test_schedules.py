"""Learning rates step by step: at milestones, along the cosine, and in the warm-up before."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR

from src.optim.schedules import MultiStep, WarmupCosine


def _optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)


def _rates(schedule: LRScheduler, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return rates


def test_without_warmup_it_is_torchs_own_schedule() -> None:
    ours = MultiStep(_optimizer(), milestones=[3, 5], gamma=0.5)
    theirs = MultiStepLR(_optimizer(), milestones=[3, 5], gamma=0.5)
    assert _rates(ours, 9) == pytest.approx(_rates(theirs, 9))


def test_warmup_rises_linearly_to_the_peak_and_the_milestones_stay_where_they_are() -> None:
    rates = _rates(MultiStep(_optimizer(), milestones=[5], warmup_steps=4), 7)
    assert rates == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"milestones": [5, 3]}, "must rise"),
        ({"milestones": [3, 3]}, "must rise"),
        ({"milestones": [3], "gamma": 0.0}, "gamma=0.0 must be above 0"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(
    setting: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MultiStep(_optimizer(), **setting)  # type: ignore[arg-type]


def _cosine_rates(steps: int, *, total: int, warmup: int = 0, floor: float = 0.0) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = WarmupCosine(optimizer, total_steps=total, warmup_steps=warmup, floor=floor)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


def test_without_warmup_it_is_one_cosine() -> None:
    expected = [2 * 0.5 * (1 + math.cos(math.pi * step / 10)) for step in range(11)]
    assert _cosine_rates(11, total=10) == pytest.approx(expected)


def test_warmup_rises_linearly_from_above_zero_to_the_peak() -> None:
    assert _cosine_rates(5, total=20, warmup=4)[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])


def test_the_floor_is_reached_and_kept() -> None:
    assert _cosine_rates(14, total=10, warmup=3, floor=0.1)[10:] == pytest.approx([0.2] * 4)


def test_a_run_shorter_than_its_warmup_ends_within_it() -> None:
    assert _cosine_rates(3, total=3, warmup=30) == pytest.approx([2 / 30, 4 / 30, 6 / 30])
