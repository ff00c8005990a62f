"""Attention between pixels: the plain form against loops, the chunked form against the plain."""

import math

import pytest
import torch
from torch import Tensor

from src.ops.pixel_attention import chunked_pixel_attention, dense_pixel_attention


def inputs(pixels: int = 7, others: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(channels: int, count: int) -> Tensor:
        return torch.randn(2, channels, count, generator=generator, dtype=torch.float64)

    return draw(3, pixels), draw(3, others), draw(4, others)


def naive(query: Tensor, key: Tensor, value: Tensor, softmax_scale: float) -> Tensor:
    output = torch.zeros(len(query), value.shape[1], query.shape[2], dtype=query.dtype)
    for b, i in torch.cartesian_prod(torch.arange(len(query)), torch.arange(query.shape[2])):
        scores = [softmax_scale * float(query[b, :, i] @ key[b, :, j]) for j in range(key.shape[2])]
        weights = [math.exp(score) for score in scores]
        for weight, j in zip(weights, range(key.shape[2]), strict=True):
            output[b, :, i] += weight / sum(weights) * value[b, :, j]
    return output


@pytest.mark.parity
@pytest.mark.parametrize("softmax_scale", [1.0, 0.25])
def test_plain_form_equals_loops_over_pixels(softmax_scale: float) -> None:
    tensors = inputs()
    attended = dense_pixel_attention(*tensors, softmax_scale=softmax_scale)
    torch.testing.assert_close(attended, naive(*tensors, softmax_scale), rtol=0, atol=1e-12)


@pytest.mark.parametrize("memory_budget", [1, 500, 2**28])
def test_chunked_form_equals_plain_form(memory_budget: int) -> None:
    tensors = inputs(pixels=31, others=20)
    chunked = chunked_pixel_attention(*tensors, memory_budget=memory_budget)
    torch.testing.assert_close(chunked, dense_pixel_attention(*tensors), rtol=0, atol=1e-14)


def test_large_scores_do_not_overflow() -> None:
    query, key, value = (tensor.float() * 1000 for tensor in inputs())
    assert torch.isfinite(dense_pixel_attention(query, key, value)).all()


def test_gradients_of_the_plain_form_are_right() -> None:
    assert torch.autograd.gradcheck(
        dense_pixel_attention, [tensor.requires_grad_() for tensor in inputs()]
    )
