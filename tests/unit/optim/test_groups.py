"""Which parameters learn, and how fast."""

import pytest
import torch
from torch import nn

from src.core.errors import ConfigError
from src.optim.groups import freeze, groups_of, scale_rates


def net() -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Linear(1, 1) for name in ("head", "trunk", "tail")})


def test_each_group_moves_by_its_own_rate() -> None:
    parts = net()
    parts["tail"].requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in parts.state_dict().items()}
    optimizer = torch.optim.SGD(groups_of(parts, {"trunk.*": 0.1, "*.bias": 0.5}), lr=1.0)
    scale_rates(optimizer)
    for parameter in parts.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    moved = {name: float(before[name] - tensor) for name, tensor in parts.state_dict().items()}
    assert moved == pytest.approx(
        {"head.weight": 1, "head.bias": 0.5, "trunk.weight": 0.1, "trunk.bias": 0.1}
        | {"tail.weight": 0, "tail.bias": 0}
    )


@pytest.mark.parametrize(
    ("factors", "words"),
    [({"body.*": 0.1}, "'body.*' fits no parameter. There are: head"), ({"head.*": 0.0}, "freeze")],
)
def test_a_pattern_or_factor_that_does_nothing_is_refused(
    factors: dict[str, float], words: str
) -> None:
    with pytest.raises(ConfigError, match=words.replace("*", r"\*")):
        groups_of(net(), factors)


def test_nothing_left_to_train_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves nothing to train"):
        freeze(net(), ["head.*", "t*"])
