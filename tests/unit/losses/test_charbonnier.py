import math

import pytest
import torch

from src.losses.charbonnier import CharbonnierLoss


def test_it_is_the_mean_of_the_root() -> None:
    restored, target = torch.tensor([0.0, 0.3]), torch.tensor([0.0, 0.7])
    expected = (0.1 + math.hypot(0.4, 0.1)) / 2
    assert float(CharbonnierLoss(eps=0.1)(restored, target)) == pytest.approx(expected)


def test_its_slope_is_smooth_at_zero_and_that_of_l1_far_away() -> None:
    restored = torch.tensor([0.0, 5.0, -5.0], requires_grad=True)
    CharbonnierLoss()(restored, torch.zeros(3)).backward()
    assert restored.grad is not None
    assert restored.grad.tolist() == pytest.approx([0, 1 / 3, -1 / 3], abs=1e-6)
