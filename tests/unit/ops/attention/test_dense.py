"""The dense form against loops."""

import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from src.ops.attention.dense import dense_patch_attention


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
