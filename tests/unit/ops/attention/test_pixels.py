"""Attention between pixels: the dense form against loops, the fused form against the dense."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from src.ops.attention.patch_attention import fused_pixel_attention
from tests.support.loops import dense_pixel_attention


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
def test_dense_form_equals_loops_over_pixels(softmax_scale: float) -> None:
    tensors = inputs()
    attended = dense_pixel_attention(*tensors, softmax_scale=softmax_scale)
    torch.testing.assert_close(attended, naive(*tensors, softmax_scale), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("match", "channels", "pixels", "others"),
    [(3, 4, 1, 1), (3, 4, 31, 20), (4, 4, 9, 600), (5, 2, 130, 33)],
    ids=["one pixel", "wide values", "many keys", "wide keys"],
)
def test_fused_form_equals_the_dense_form_with_its_gradients(
    match: int, channels: int, pixels: int, others: int
) -> None:
    generator = torch.Generator().manual_seed(1)
    shapes = [(2, match, pixels), (2, match, others), (2, channels, others)]
    leaves = [
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in shapes
    ]
    found = []
    for form in (fused_pixel_attention, dense_pixel_attention):
        attended = form(*leaves, softmax_scale=0.7)
        found.append((attended, *torch.autograd.grad((attended**2).sum(), leaves)))
    for ours, dense in zip(*found, strict=True):
        torch.testing.assert_close(ours, dense, rtol=1e-10, atol=1e-12)


def test_fused_form_keeps_no_scores_for_backward() -> None:
    pixels, channels = 600, 16
    features = [torch.randn(1, channels, pixels, requires_grad=True) for _ in range(3)]
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        fused_pixel_attention(*features).sum().backward()
    assert max(kept) <= channels * pixels


@pytest.mark.parametrize("form", [dense_pixel_attention, fused_pixel_attention])
def test_large_scores_do_not_overflow(form: Callable[..., Tensor]) -> None:
    query, key, value = (tensor.float() * 1000 for tensor in inputs())
    assert torch.isfinite(form(query, key, value)).all()


@pytest.mark.parametrize("form", [dense_pixel_attention, fused_pixel_attention])
def test_gradients_are_right_by_finite_differences(form: Callable[..., Tensor]) -> None:
    assert torch.autograd.gradcheck(form, [tensor.requires_grad_() for tensor in inputs()])
