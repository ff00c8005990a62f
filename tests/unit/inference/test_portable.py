"""A network in the form in which it leaves the project is still the same network."""

import pytest
import torch
from torch import nn

from src.inference.policy import InferencePolicy
from src.inference.portable import PortableNet, dense_attention, multiples
from src.inference.restorer import Restorer
from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.pyramid import PyramidAttention
from src.models.attention.window import WindowAttention
from src.models.backbones.edsr import EDSR
from src.models.backbones.panet import PANet


def test_it_restores_as_the_commands_do() -> None:
    net = PANet(channels=8, blocks=2, unshuffle=4).eval()
    degraded = torch.rand(1, 3, 21, 18)
    expected = Restorer(net, InferencePolicy(tile=None))(degraded)
    [multiple] = multiples(net)
    with torch.no_grad():
        restored = PortableNet(net, multiple)(degraded)
    assert restored.shape == degraded.shape
    torch.testing.assert_close(restored, expected)


def test_attention_is_dense_inside_and_as_before_outside() -> None:
    net = PANet(channels=8, blocks=2).eval()
    block = next(part for part in net.modules() if isinstance(part, PyramidAttention))
    degraded = torch.rand(1, 3, 20, 17)
    with torch.no_grad():
        before = net(degraded)
        with dense_attention(net):
            assert block.implementation == "dense"
            torch.testing.assert_close(net(degraded), before)
    assert block.implementation == "auto"


@pytest.mark.parametrize(
    ("attention", "expected"),
    [(CrossScaleAttention, [2]), (WindowAttention, [8]), (PyramidAttention, [1])],
)
def test_multiples_count_what_blocks_extend_to(
    attention: type[nn.Module], expected: list[int]
) -> None:
    assert multiples(EDSR(channels=16, blocks=2, scale=1, attention=attention)) == expected
