"""A gate of zero is the trunk alone, one of one is the block, and training opens it."""

from functools import partial

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from src.core.types import AttentionFactory
from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.gated import GatedAttention
from src.models.attention.pyramid import PyramidAttention
from src.models.attention.window import WindowAttention
from src.models.blocks.trunk import attention_site
from tests.support.compose import compose_config

BLOCKS = [CrossScaleAttention, partial(PyramidAttention, levels=2), WindowAttention]


@pytest.fixture(autouse=True)
def fixed_weights() -> None:
    torch.manual_seed(0)


def features() -> torch.Tensor:
    return torch.randn(1, 8, 9, 7, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("block", BLOCKS)
def test_between_nothing_and_the_block_as_published(block: AttentionFactory) -> None:
    gated, alone = GatedAttention(8, block=block), attention_site(block, 8)
    alone.load_state_dict(gated.site.state_dict())
    assert torch.equal(gated(features()), features())
    nn.init.ones_(gated.gate)
    torch.testing.assert_close(gated(features()), alone(features()))


def test_the_gate_opens_first_and_then_the_block_learns() -> None:
    gated = GatedAttention(8)
    optimizer = torch.optim.SGD(gated.parameters(), lr=1.0)
    moved = []
    for _ in range(2):
        before = {name: value.clone() for name, value in gated.state_dict().items()}
        optimizer.zero_grad()
        (gated(features()) ** 2).mean().backward()
        optimizer.step()
        after = gated.state_dict()
        moved.append({name for name in after if not torch.equal(before[name], after[name])})
    assert moved[0] == {"gate"}
    assert {name.split(".")[2] for name in moved[1] - {"gate"} if "block" in name} >= {
        "query",
        "key",
        "value",
    }


def test_the_command_line_chooses_what_is_gated() -> None:
    words = ("model=panet_tiny", "model/attention=gated")
    block = "+model/attention@model.attention.block=pyramid"
    cfg = compose_config(*words, block, "model.attention.block.levels=3")
    made = instantiate(cfg.model.attention, _convert_="all")(32)
    assert isinstance(made.site, PyramidAttention)
    assert len(made.site.scales) == 3
