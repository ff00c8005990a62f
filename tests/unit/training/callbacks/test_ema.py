import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from src.training.callbacks.ema import Ema


def _averages(weights: list[float], **settings: float) -> list[float]:
    """Return the average after each of a row of weights."""
    layer = nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(layer, **Ema(**settings)._kwargs)
    averages = []
    for value in weights:
        nn.init.constant_(layer.weight, value)
        averaged.update_parameters(layer)
        averages.append(averaged.module.weight.item())
    return averages


def test_the_average_begins_at_the_first_weights_and_follows_faster_while_it_is_young() -> None:
    one, two, three = _averages([1.0, 2.0, 3.0])
    assert one == 1.0
    assert two == pytest.approx(2 / 11 * one + 9 / 11 * 2.0)
    assert three == pytest.approx(3 / 12 * two + 9 / 12 * 3.0)


def test_after_the_warm_up_a_step_keeps_the_decay() -> None:
    *_, before, after = _averages([1.0] * 100 + [2.0], decay=0.5)
    assert before == pytest.approx(1.0)
    assert after == pytest.approx(1.5)


def test_running_statistics_are_averaged_too() -> None:
    norm = nn.BatchNorm2d(1)
    ema = Ema(decay=0.5)
    averaged = AveragedModel(norm, use_buffers=ema._use_buffers, **ema._kwargs)
    averaged.update_parameters(norm)
    norm.running_mean = torch.tensor([11.0])
    averaged.update_parameters(norm)
    assert averaged.module.running_mean.item() == pytest.approx(9.0)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_averages_nothing_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=f"decay={decay} must be at least 0 and below 1"):
        Ema(decay=decay)
