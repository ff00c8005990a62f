"""Initial weights are a function of seed and name: a trunk is the same around any block."""

import itertools

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from src.app.config.options import options_of
from src.models.attention import ATTENTION
from src.models.initial_weights import build_with_initial_weights
from tests.support.compose import compose_config

BLOCKS = options_of("model/attention")
TRUNKS = ("panet_tiny", "edsr_tiny", "rcan")


def _weights(model: str, block: str, seed: int = 3) -> dict[str, Tensor]:
    """Return the parameters of a network that are not those of its attention blocks."""
    words = [f"model={model}", f"model/attention={block}"]
    cfg = compose_config(*words, *(["model.groups=2", "model.blocks=2"] * (model == "rcan")))
    net = build_with_initial_weights(lambda: instantiate(cfg.model, _convert_="all"), seed)
    blocks = tuple(ATTENTION[name].cls for name in ATTENTION)
    inside = tuple(f"{n}." for n, module in net.named_modules() if isinstance(module, blocks))
    return {n: p.detach() for n, p in net.named_parameters() if not n.startswith(inside)}


@pytest.mark.slow
@pytest.mark.parametrize("model", TRUNKS)
def test_shared_parameters_are_equal_around_every_block(model: str) -> None:
    weights = {block: _weights(model, block) for block in BLOCKS}
    for one, other in itertools.combinations(BLOCKS, 2):
        shared = [
            name
            for name, value in weights[one].items()
            if name in weights[other] and value.shape == weights[other][name].shape
        ]
        assert len(shared) > 10
        differ = [n for n in shared if not torch.equal(weights[one][n], weights[other][n])]
        assert differ == [], (one, other)


@pytest.mark.long
def test_the_trunk_is_the_same_around_another_block() -> None:
    none, pyramid = _weights("panet_tiny", "none"), _weights("panet_tiny", "pyramid")
    assert none.keys() == pyramid.keys()
    assert all(torch.equal(none[name], pyramid[name]) for name in none)


@pytest.mark.long
def test_seed_and_name_change_the_values_and_the_global_stream_does_not() -> None:
    torch.rand(7)
    first, again = _weights("panet_tiny", "none"), _weights("panet_tiny", "none")
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = _weights("panet_tiny", "none", seed=4)
    drawn = [name for name, value in first.items() if value.dim() == 4 and value.shape[-1] == 3]
    assert all(not torch.equal(first[name], other[name]) for name in drawn)
    same_shape = [first[name] for name in drawn if first[name].shape == first[drawn[1]].shape]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(same_shape, 2))


def test_the_distribution_is_the_networks_own() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(64, 64, 3)
            nn.init.normal_(self.conv.weight, std=2.0)
            self.conv.weight.data.mul_(0.5)
            nn.init.constant_(self.conv.bias, 0.25)

    net = build_with_initial_weights(Scaled, 0)
    assert isinstance(net, Scaled)
    assert float(net.conv.weight.detach().std()) == pytest.approx(1.0, abs=0.02)
    assert torch.equal(net.conv.bias.detach(), torch.full((64,), 0.25))
