"""Patch attention whose values are s times as large as its keys, against loops over pixels."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from src.ops.attention.chunked import chunked_patch_attention
from src.ops.attention.dense import dense_patch_attention


def cut(image: Tensor, top: int, left: int, side: int) -> Tensor:
    """Return a square of (C, H, W) from a corner that may lie outside, where it is zero."""
    held = torch.zeros(image.shape[0], side, side, dtype=image.dtype)
    for dy, dx in itertools.product(range(side), repeat=2):
        if 0 <= top + dy < image.shape[1] and 0 <= left + dx < image.shape[2]:
            held[:, dy, dx] = image[:, top + dy, left + dx]
    return held


def naive(query: Tensor, key: Tensor, value: Tensor, scale: int, overlap: float) -> Tensor:
    """Cross-scale attention of one image by loops, straight from the description."""
    height, width = query.shape[1:]
    margin = 2 * scale  # of the canvas, so that what hangs over the border has a place
    canvas = torch.zeros(
        value.shape[0], height * scale + 2 * margin, width * scale + 2 * margin, dtype=value.dtype
    )
    cells = list(itertools.product(range(key.shape[1]), range(key.shape[2])))
    keys = [cut(key, y - 1, x - 1, 3) for y, x in cells]
    values = [cut(value, (y - 1) * scale, (x - 1) * scale, 3 * scale) for y, x in cells]
    for y, x in itertools.product(range(height), range(width)):
        asked = cut(query, y - 1, x - 1, 3)
        scores = [10 * float((asked * k).sum()) / max(float(k.norm()), 1e-4) for k in keys]
        weights = [math.exp(score - max(scores)) for score in scores]
        mixed = torch.stack([w * v for w, v in zip(weights, values, strict=True)]).sum(dim=0)
        top, left = (y - 1) * scale + margin, (x - 1) * scale + margin
        canvas[:, top : top + 3 * scale, left : left + 3 * scale] += mixed / sum(weights)
    return canvas[:, margin:-margin, margin:-margin] / overlap


def inputs(
    scale: int, height: int, width: int, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a query, keys shrunk by ``scale``, and values of the query's size."""
    generator = torch.Generator().manual_seed(height * 100 + width)

    def draw(channels: int, h: int, w: int) -> Tensor:
        return torch.randn(2, channels, h, w, generator=generator, dtype=dtype)

    return draw(2, height, width), draw(2, height // scale, width // scale), draw(3, height, width)


@pytest.mark.parity
@pytest.mark.parametrize(("scale", "size"), [(2, (4, 6)), (3, (6, 3))])
def test_dense_form_equals_loops_over_pixels(scale: int, size: tuple[int, int]) -> None:
    query, key, value = inputs(scale, *size)
    attended = dense_patch_attention(query, [key], [value], scale=scale, overlap=6.0)
    for b, image in enumerate(attended):
        loops = naive(query[b], key[b], value[b], scale, 6.0)
        torch.testing.assert_close(image, loops, rtol=0, atol=1e-12)


@pytest.mark.parametrize("memory_budget", [1, 20_000, 100_000, 2**28])
@pytest.mark.parametrize(("scale", "size"), [(2, (2, 2)), (2, (12, 18)), (3, (12, 9)), (4, (8, 4))])
def test_chunked_form_equals_dense_form(
    scale: int, size: tuple[int, int], memory_budget: int
) -> None:
    query, key, value = inputs(scale, *size)
    chunked = chunked_patch_attention(
        query, [key], [value], scale=scale, overlap=6.0, memory_budget=memory_budget
    )
    dense = dense_patch_attention(query, [key], [value], scale=scale, overlap=6.0)
    assert dense.shape[-2:] == (size[0] * scale, size[1] * scale)
    torch.testing.assert_close(chunked, dense, rtol=0, atol=1e-12)


def test_gradients_of_the_dense_form_are_right() -> None:
    tensors = [tensor.requires_grad_() for tensor in inputs(2, 2, 4)]

    def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return dense_patch_attention(query, [key], [value], scale=2, overlap=6.0, softmax_scale=0.5)

    assert torch.autograd.gradcheck(attended, tensors)
