"""Which blocks show where they look, and that what they show is what they do."""

import itertools
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from src.inference.attention_map import AttentionMap
from src.inference.attention_maps import attention_maps, look, maps_of
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer
from src.models.attention.cross_scale import OVERLAP as CROSS_SCALE_OVERLAP
from src.ops.attention.contract import OVERLAP, paste_patches, unfold_patches
from tests.support.compose import compose_config

SHOWN = {
    "pyramid": [(8, 6), (7, 5), (6, 4), (5, 4), (4, 3)],
    "pyramid_local": [(8, 6), (7, 5), (6, 4), (5, 4), (4, 3)],
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


def _net(block: str, *words: str) -> _OneBlock:
    cfg = compose_config(f"model/attention={block}", *words)
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


@pytest.mark.parametrize("block", ["none", "channel", "window"])
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


WINDOW = "model.attention.window=3"


def _all_maps(net: _OneBlock, features: Tensor) -> tuple[list[AttentionMap], list[Tensor], Tensor]:
    """Return the map of every pixel, the values of each level, and what the block returned."""
    values: list[Tensor] = []
    points = list(itertools.product(*map(range, features.shape[-2:])))
    handle = net.block.value.register_forward_hook(lambda *call: values.append(call[-1]))
    with torch.no_grad():
        maps = maps_of(net, features, points)["block"]
        handle.remove()
        return maps, values, net(features)


@pytest.mark.parametrize(
    ("block", "words", "size"),
    [
        ("pyramid", (), (9, 7)),
        ("pyramid", ("model.attention.levels=3",), (6, 5)),
        ("pyramid_local", (WINDOW,), (9, 7)),
        ("cross_scale", (), (8, 6)),
        ("cross_scale", (WINDOW,), (8, 6)),
    ],
)
def test_pasting_what_the_maps_show_is_what_attention_by_patches_returns(
    block: str, words: tuple[str, ...], size: tuple[int, int]
) -> None:
    net: Any = _net(block, *words).double()
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 8, *size, generator=generator, dtype=torch.float64)
    maps, values, returned = _all_maps(net, features)
    scale = net.block.scale
    patches = [unfold_patches(value, scale)[0] for value in values]
    mixed = torch.stack(
        [
            sum(patch @ level.flatten() for patch, level in zip(patches, shown.levels, strict=True))
            for shown in maps
        ],
        dim=1,
    )
    overlap = CROSS_SCALE_OVERLAP if scale > 1 else OVERLAP
    pasted = paste_patches(mixed[None], *size, scale=scale, overlap=overlap)
    identity = features if scale == 1 else 0
    torch.testing.assert_close(returned, pasted + identity, rtol=1e-9, atol=1e-9)
    for shown in maps:
        assert float(sum(level.sum() for level in shown.levels)) == pytest.approx(1, abs=1e-12)
        assert shown.seen == sum(int((level > 0).sum()) for level in shown.levels)
        assert shown.spread(4).keys == shown.seen


@pytest.mark.parametrize("words", [(), (WINDOW,)])
def test_the_mean_under_what_the_map_shows_is_what_attention_by_pixels_returns(
    words: tuple[str, ...],
) -> None:
    net: Any = _net("in_scale_non_local", *words).double()
    features = torch.randn(1, 8, 6, 5, generator=torch.Generator().manual_seed(0)).double()
    maps, (value,), returned = _all_maps(net, features)
    for shown in maps:
        mean = (value[0] * shown.levels[0]).sum(dim=(1, 2))
        torch.testing.assert_close(returned[0, :, shown.row, shown.column], mean)


def test_a_map_of_features_at_half_resolution_is_in_pixels_of_the_image() -> None:
    cfg = compose_config("model=panet_tiny", "model.blocks=2", "model.channels=8")
    net = instantiate(cfg.model, _convert_="all").eval()
    (shown,) = attention_maps(net, torch.rand(1, 3, 20, 28), 7, 12)
    assert (shown.pixels, shown.row, shown.column, shown.size) == (2.0, 3, 6, (10, 14))
    query = shown.query
    assert (query.row, query.column, query.height, query.width) == (7.0, 13.0, 6.0, 6.0)


def test_the_strongest_keys_are_of_their_level_s_size_and_do_not_overlap() -> None:
    half = torch.zeros(4, 6)
    half[1, 2], half[1, 3], whole = 0.4, 0.3, torch.zeros(8, 12)
    whole[0, 11], whole[5, 5] = 0.2, 0.1
    keys = AttentionMap("b", 4, 4, (8, 12), (whole, half), pixels=2.0).strongest(5)
    assert [(key.level, round(key.weight, 6)) for key in keys][:3] == [(1, 0.4), (0, 0.2), (0, 0.1)]
    box = keys[0].box
    assert (box.row, box.column, box.height, box.width) == (6.0, 10.0, 12.0, 12.0)
    corner = keys[1].box
    assert (corner.row, corner.column, corner.height, corner.width) == (1.0, 23.0, 6.0, 6.0)


def test_of_a_large_image_the_tile_around_the_point_is_looked_at() -> None:
    cfg = compose_config("model=panet_tiny", "model.blocks=2", "model.channels=8")
    net = instantiate(cfg.model, _convert_="all").eval()
    restorer = Restorer(net, InferencePolicy(tile=16, overlap=4))
    degraded = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    first, second = look(restorer, degraded, [(31, 39), (1, 2)])
    assert (first.top, first.left, second.top, second.left) == (16, 24, 0, 0)
    assert torch.equal(first.piece, degraded[..., 16:, 24:])
    (shown,) = first.maps.values()
    assert (shown.row, shown.column, shown.size) == (7, 7, (8, 8))
