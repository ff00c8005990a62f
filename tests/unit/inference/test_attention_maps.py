"""Which blocks show where they look, and that what they show is what they do."""

from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from src.inference.attention_maps import (
    AttentionMap,
    attention_maps,
    draw_attention,
)
from tests.support.compose import compose_config

SHOWN = {
    "pyramid": [(8, 6), (7, 5), (6, 4), (5, 4), (4, 3)],
    "cross_scale": [(4, 3)],
    "in_scale_non_local": [(8, 6)],
    "non_local": [(8, 6)],
}


class _OneBlock(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.block(features)
        return result


def _net(block: str) -> _OneBlock:
    cfg = compose_config(f"model/attention={block}")
    return _OneBlock(instantiate(cfg.model.attention, _convert_="all")(8)).eval()


@pytest.mark.parametrize("block", SHOWN)
def test_a_block_shows_where_one_pixel_looks(block: str) -> None:
    features = torch.rand(1, 8, 8, 6, generator=torch.Generator().manual_seed(0))
    (shown,) = attention_maps(_net(block), features, 5, 2)
    assert (shown.block, shown.row, shown.column, shown.size) == ("block", 5, 2, (8, 6))
    assert [tuple(level.shape) for level in shown.levels] == SHOWN[block]
    assert float(sum(level.sum() for level in shown.levels)) == pytest.approx(1, abs=1e-5)


def test_what_non_local_attention_shows_is_what_it_adds() -> None:
    features = torch.rand(1, 8, 5, 4, generator=torch.Generator().manual_seed(0))
    net: Any = _net("non_local")
    (shown,) = attention_maps(net, features, 3, 1)
    with torch.no_grad():
        mean = (net.block.value(features)[0] * shown.levels[0]).sum(dim=(1, 2))
        expected = features[0, :, 3, 1] + net.block.project(mean[None, :, None, None])[0, :, 0, 0]
        torch.testing.assert_close(net(features)[0, :, 3, 1], expected)


@pytest.mark.parametrize("block", ["none", "channel", "window", "pyramid_local"])
def test_a_block_without_a_map_is_passed_over(block: str) -> None:
    assert attention_maps(_net(block), torch.rand(1, 8, 8, 8), 0, 0) == []


def test_looking_leaves_no_hook_behind_and_changes_no_result() -> None:
    net, features = _net("pyramid"), torch.rand(1, 8, 8, 6)
    with torch.no_grad():
        before = net(features)
        attention_maps(net, features, 0, 0)
        assert torch.equal(net(features), before)
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("place", [(-1, 0), (8, 0), (0, 6)])
def test_a_pixel_outside_the_image_is_refused(place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="rows 0 to 7, columns 0 to 5"):
        attention_maps(_net("pyramid"), torch.rand(1, 8, 8, 6), *place)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_shows_the_query_and_the_place_that_it_looks_at(channels: int) -> None:
    level = torch.zeros(10, 8)
    level[7, 3] = 1.0
    picture = draw_attention(
        torch.zeros(channels, 20, 16), AttentionMap("b", 2, 5, (10, 8), (level,))
    )
    factor = 256 // 20
    assert picture.shape == (3, 20 * factor, 2 * 16 * factor)
    left, right = picture.chunk(2, dim=2)
    cell = 2 * factor
    assert (right[:, 7 * cell : 8 * cell, 3 * cell : 4 * cell] == 1).all()  # white: all its weight
    assert float(right.sum()) == pytest.approx(3 * cell**2)
    red = (left[0] > left[2]).nonzero()
    middle = ((red.amin(dim=0) + red.amax(dim=0) + 1) / 2).tolist()
    assert middle == pytest.approx([2.5 * cell, 5.5 * cell])
