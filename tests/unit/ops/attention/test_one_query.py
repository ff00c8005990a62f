"""The weights of one query against the dense form, and the numbers that describe them."""

import math

import pytest
import torch
from torch import Tensor

from src.ops.attention.contract import unfold_patches
from src.ops.attention.dense import dense_patch_attention
from src.ops.attention.one_query import (
    Spread,
    mean_spread,
    patch_attention_map,
    pixel_attention_map,
    spread,
)
from tests.support.loops import dense_pixel_attention

MAP_SIZES = ((7, 5), (6, 4), (5, 3))


def _features(channels: int, *size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, channels, *size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 2), (6, 4)])
def test_a_patch_map_is_a_row_of_the_dense_softmax(row: int, column: int) -> None:
    query = _features(2, *MAP_SIZES[0], seed=0)
    keys = [_features(2, *size, seed=1 + index) for index, size in enumerate(MAP_SIZES)]
    scores = []
    padded = torch.nn.functional.pad(query, (1, 1, 1, 1))
    patch = padded[0, :, row : row + 3, column : column + 3]
    for key in keys:  # a naive loop over every place of every level
        around = torch.nn.functional.pad(key, (1, 1, 1, 1))
        for y in range(key.shape[2]):
            for x in range(key.shape[3]):
                other = around[0, :, y : y + 3, x : x + 3]
                scores.append(10 * (patch * other).sum() / other.norm().clamp(min=1e-4))
    expected = torch.stack(scores).softmax(dim=0)
    levels = patch_attention_map(query, keys, row, column)
    assert [tuple(level.shape) for level in levels] == list(MAP_SIZES)
    torch.testing.assert_close(torch.cat([level.flatten() for level in levels]), expected)


def test_the_maps_of_all_queries_paste_what_dense_attention_pastes() -> None:
    query, key, value = (_features(2, 4, 3, seed=seed) for seed in range(3))
    maps = [
        patch_attention_map(query, [key], row, column)[0].flatten()
        for row in range(4)
        for column in range(3)
    ]
    patches = torch.stack(maps) @ unfold_patches(value)[0].T
    pasted = torch.nn.functional.fold(patches.T[None], (4, 3), 3, padding=1) / 4.0
    torch.testing.assert_close(pasted, dense_patch_attention(query, [key], [value]))


def test_a_pixel_map_gives_the_pixel_that_dense_attention_gives() -> None:
    query, key, value = (_features(3, 5, 4, seed=seed) for seed in range(3))
    weights = pixel_attention_map(query, key, 2, 3)
    assert weights.shape == (5, 4)
    attended = dense_pixel_attention(query.flatten(2), key.flatten(2), value.flatten(2))
    expected = attended.view_as(value)[0, :, 2, 3]
    torch.testing.assert_close((weights * value[0]).sum(dim=(1, 2)), expected)


def test_an_identical_patch_is_the_one_that_is_looked_at_most() -> None:
    query = _features(2, 6, 5, seed=0)
    level = patch_attention_map(query, [query], 3, 2, softmax_scale=1e3)[0]
    assert int(level.argmax()) == 3 * 5 + 2


@pytest.mark.parametrize("window", [1, 3, 4])
def test_in_a_window_the_weights_are_those_of_all_with_the_others_left_out(window: int) -> None:
    query = _features(2, *MAP_SIZES[0], seed=0)
    keys = [_features(2, *size, seed=1 + index) for index, size in enumerate(MAP_SIZES)]
    whole = patch_attention_map(query, keys, 3, 2)
    inside = patch_attention_map(query, keys, 3, 2, window=window)
    seen = [level > 0 for level in inside]
    sides = [(-(-window * height // 7), -(-window * width // 5)) for height, width in MAP_SIZES]
    assert [int(part.sum()) for part in seen] == [height * width for height, width in sides]
    total = sum(level[part].sum() for level, part in zip(whole, seen, strict=True))
    for all_of_it, level, part in zip(whole, inside, seen, strict=True):
        torch.testing.assert_close(level[part], all_of_it[part] / total)


def test_equal_weights_have_as_many_effective_keys_as_there_are() -> None:
    levels = [torch.full((4, 6), 1 / 30), torch.full((2, 3), 1 / 30)]
    numbers = spread(levels, 1, 2, (4, 6), radius=100)
    assert numbers.effective_keys == pytest.approx(30)
    assert numbers.levels == pytest.approx((0.8, 0.2))
    assert numbers.near == pytest.approx(1)


def test_one_key_has_all_the_weight_at_its_distance() -> None:
    level = torch.zeros(4, 8)
    level[3, 6] = 1
    numbers = spread([torch.zeros(8, 16), level], 7, 10, (8, 16), radius=2.9)
    # its centre is at (6.5, 12.5) of the query's pixels
    assert (numbers.effective_keys, numbers.levels, numbers.near) == (1.0, (0.0, 1.0), 1.0)
    assert numbers.distance == pytest.approx(math.hypot(0.5, 2.5))
    assert spread([level], 7, 10, (8, 16), radius=2.5).near == 0


def test_the_mean_of_effective_keys_is_that_of_entropies() -> None:
    mean = mean_spread(
        [Spread(9, 2.0, (1.0, 0.0), 0.0, 4.0), Spread(11, 8.0, (0.0, 1.0), 1.0, 0.0)]
    )
    assert mean.effective_keys == pytest.approx(4)
    assert (mean.levels, mean.near, mean.distance) == ((0.5, 0.5), 0.5, 2.0)
    with pytest.raises(ValueError, match="no query"):
        mean_spread([])
