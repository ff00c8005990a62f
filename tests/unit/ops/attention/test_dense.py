"""The dense form against loops, and the map of one query against the dense form."""

import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from src.ops.attention.contract import unfold_patches
from src.ops.attention.dense import dense_patch_attention, patch_attention_map
from src.ops.attention.pixels import dense_pixel_attention, pixel_attention_map

MAP_SIZES = ((7, 5), (6, 4), (5, 3))


def patch(image: Tensor, y: int, x: int) -> Tensor:
    """Return the 3×3 patch of (C, H, W) centred on a pixel, with zeros outside."""
    cut = torch.zeros(image.shape[0], 3, 3, dtype=image.dtype)
    for dy, dx in itertools.product(range(3), repeat=2):
        row, column = y + dy - 1, x + dx - 1
        if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
            cut[:, dy, dx] = image[:, row, column]
    return cut


def paste(output: Tensor, cut: Tensor, y: int, x: int) -> None:
    """Add a 3×3 patch centred on a pixel; what falls outside is lost."""
    for dy, dx in itertools.product(range(3), repeat=2):
        row, column = y + dy - 1, x + dx - 1
        if 0 <= row < output.shape[1] and 0 <= column < output.shape[2]:
            output[:, row, column] += cut[:, dy, dx]


def pixels(image: Tensor) -> Iterator[tuple[int, int]]:
    return itertools.product(range(image.shape[-2]), range(image.shape[-1]))


def naive(query: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    """Pyramid attention by loops over pixels, straight from the description."""
    output = torch.zeros(len(query), values[0].shape[1], *query.shape[-2:], dtype=query.dtype)
    for b in range(len(query)):
        memory = [
            (patch(k[b], y, x), patch(v[b], y, x))
            for k, v in zip(keys, values, strict=True)
            for y, x in pixels(k)
        ]
        for y, x in pixels(query):
            asked = patch(query[b], y, x)
            scores = [float((asked * k).sum()) / max(float(k.norm()), 1e-4) for k, _ in memory]
            weights = [math.exp(10 * (score - max(scores))) for score in scores]
            mixed = sum(w * v for w, (_, v) in zip(weights, memory, strict=True)) / sum(weights)
            assert isinstance(mixed, Tensor)
            paste(output[b], mixed, y, x)
    return output / 4


def inputs(
    batch: int, height: int, width: int, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(height * 100 + width)

    def draw(channels: int, h: int, w: int) -> Tensor:
        return torch.randn(batch, channels, h, w, generator=generator, dtype=dtype)

    sizes = [(height, width), (max(1, height // 2), max(1, width - 1))]
    return draw(2, height, width), [draw(2, *s) for s in sizes], [draw(3, *s) for s in sizes]


@pytest.mark.parity
def test_dense_form_equals_loops_over_pixels() -> None:
    query, keys, values = inputs(2, 4, 5)
    torch.testing.assert_close(
        dense_patch_attention(query, keys, values), naive(query, keys, values), rtol=0, atol=1e-12
    )


def test_gradients_of_the_dense_form_are_right() -> None:
    query, keys, values = inputs(1, 3, 4)
    flat = [t.requires_grad_() for t in (query, *keys, *values)]

    def attend(q: Tensor, k1: Tensor, k2: Tensor, v1: Tensor, v2: Tensor) -> Tensor:
        return dense_patch_attention(q, [k1, k2], [v1, v2])

    assert torch.autograd.gradcheck(attend, flat)


def test_a_key_of_zeros_does_not_make_nan() -> None:
    query, keys, values = inputs(1, 4, 4)
    keys[0].zero_()
    assert torch.isfinite(dense_patch_attention(query, keys, values)).all()


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
