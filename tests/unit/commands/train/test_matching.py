"""What a network makes of an image when it begins with another one's weights."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from src.commands.train.matching import PARTIAL, STRICT, Matching, begin_from
from src.models.attention import ATTENTION
from src.models.attention.none import NoAttention
from src.models.attention.pyramid import PyramidAttention
from src.models.backbones import Backbone
from src.models.backbones.edsr import EDSR
from src.models.backbones.panet import PANet
from src.weights.checkpoint import Checkpoint

GATES = {"channel", "pixel", "second_order"}
"""Attention that multiplies by factors below 1, so that it is never the identity."""


def checkpoint_of(net: Backbone) -> Checkpoint:
    io = {key: getattr(net, key) for key in ("in_channels", "out_channels", "scale")}
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    return Checkpoint(Path("net.ckpt"), DictConfig({"io": io}), 0, {}, weights)


def image(channels: int = 3) -> torch.Tensor:
    return torch.rand(1, channels, 16, 20, generator=torch.Generator().manual_seed(0))


def small(attention: Callable[..., nn.Module], channels: int = 3) -> PANet:
    return PANet(channels, channels, channels=8, blocks=2, attention=attention)


def test_places_of_attention_without_weights_do_not_count() -> None:
    with_place, without = small(NoAttention), PANet(3, 3, channels=8, blocks=2, attention_sites=[])
    matching = begin_from(with_place, checkpoint_of(without), STRICT)
    assert matching.loaded.keys() == with_place.state_dict().keys()
    assert not matching.new
    assert torch.equal(with_place(image()), without(image()))


def added(name: str) -> tuple[PANet, PANet, Matching]:
    trunk, grown = small(NoAttention), small(ATTENTION[name].cls)
    return trunk, grown, begin_from(grown, checkpoint_of(trunk), PARTIAL)


@pytest.mark.parametrize("name", sorted({*ATTENTION} - GATES - {"none"}))
def test_added_attention_begins_as_the_identity_and_learns(name: str) -> None:
    trunk, grown, matching = added(name)
    assert matching.identity == ("trunk.1",)
    torch.testing.assert_close(grown(image()), trunk(image()), rtol=0, atol=1e-6)
    optimizer = torch.optim.SGD(grown.parameters(), lr=1.0)
    for _ in range(2):  # all layers but the last learn from the second step on
        optimizer.zero_grad()
        (grown(image()) ** 2).mean().backward()
        optimizer.step()
    moved = [
        name
        for name, parameter in grown.named_parameters()
        if name.startswith("trunk.1.") and parameter.grad is not None and parameter.grad.any()
    ]
    assert len(moved) > 1 or name == "layer_channel_spatial"
    assert not torch.equal(grown(image()), trunk(image()))


@pytest.mark.parametrize("name", sorted(GATES))
def test_added_attention_that_cannot_be_the_identity_is_named(name: str) -> None:
    _, _, matching = added(name)
    assert (matching.identity, matching.random) == ((), ("trunk.1",))


def test_a_block_that_scales_its_identity_is_not_the_identity() -> None:
    grown = small(partial(PyramidAttention, residual_scale=0.1))
    matching = begin_from(grown, checkpoint_of(small(NoAttention)), PARTIAL)
    assert matching.random == ("trunk.1",)


def test_grey_from_colour_is_the_mean_of_what_the_network_made_of_three_equal_channels() -> None:
    colour, grey = small(NoAttention), small(NoAttention, channels=1)
    matching = begin_from(grey, checkpoint_of(colour), PARTIAL)
    assert set(matching.changed) == {"head.weight", "tail.weight", "tail.bias"}
    expected = colour(image(1).expand(1, 3, 16, 20)).mean(1, keepdim=True)
    torch.testing.assert_close(grey(image(1)), expected)


def test_colour_from_grey_restores_each_channel_of_a_grey_image_alike() -> None:
    colour, grey = small(NoAttention), small(NoAttention, channels=1)
    begin_from(colour, checkpoint_of(grey), PARTIAL)
    restored = colour(image(1).expand(1, 3, 16, 20))
    torch.testing.assert_close(restored, grey(image(1)).expand(1, 3, 16, 20))


def test_from_twice_to_four_times_as_large_the_trunk_stays_and_the_last_layers_are_new() -> None:
    twice, four = EDSR(scale=2, channels=8, blocks=2), EDSR(scale=4, channels=8, blocks=2)
    matching = begin_from(four, checkpoint_of(twice), PARTIAL)
    assert set(matching.new) == {"upsampler.2.weight", "upsampler.2.bias"}
    assert not matching.skipped
    assert torch.equal(four.trunk[0].conv1.weight, twice.trunk[0].conv1.weight)
