"""The map of one query is one row of the dense softmax, and gives what dense attention gives."""

import pytest
import torch
from torch import Tensor

from src.ops.attention.maps import patch_attention_map, pixel_attention_map
from src.ops.attention.patch_attention import dense_patch_attention, unfold_patches
from src.ops.attention.pixels import dense_pixel_attention

SIZES = ((7, 5), (6, 4), (5, 3))


def _features(channels: int, *size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, channels, *size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 2), (6, 4)])
def test_a_patch_map_is_a_row_of_the_dense_softmax(row: int, column: int) -> None:
    query = _features(2, *SIZES[0], seed=0)
    keys = [_features(2, *size, seed=1 + index) for index, size in enumerate(SIZES)]
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
    assert [tuple(level.shape) for level in levels] == list(SIZES)
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
