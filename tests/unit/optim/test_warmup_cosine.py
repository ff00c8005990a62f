import math

import pytest
import torch

from src.optim.warmup_cosine import WarmupCosine


def _rates(steps: int, *, total: int, warmup: int = 0, floor: float = 0.0) -> list[float]:
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
    assert _rates(11, total=10) == pytest.approx(expected)


def test_warmup_rises_linearly_from_above_zero_to_the_peak() -> None:
    assert _rates(5, total=20, warmup=4)[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])


def test_the_floor_is_reached_and_kept() -> None:
    assert _rates(14, total=10, warmup=3, floor=0.1)[10:] == pytest.approx([0.2] * 4)


def test_a_run_shorter_than_its_warmup_ends_within_it() -> None:
    assert _rates(3, total=3, warmup=30) == pytest.approx([2 / 30, 4 / 30, 6 / 30])
