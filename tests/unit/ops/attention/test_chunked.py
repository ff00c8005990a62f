"""The chunked form against the plain one, forward and backward; what it does on a full device."""

import logging

import pytest
import torch
from torch import Tensor

from src.ops.attention import out_of_memory
from src.ops.attention.chunked import chunked, chunked_patch_attention
from src.ops.attention.out_of_memory import halve_when_full
from src.ops.attention.patch_attention import dense_patch_attention


def inputs(
    height: int, width: int, *, scale: int = 1, batch: int = 2, amplitude: float = 0.5
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(height * 100 + width)

    def draw(channels: int, h: int, w: int) -> Tensor:
        numbers = torch.randn(batch, channels, h, w, generator=generator, dtype=torch.float64)
        return (amplitude * numbers).requires_grad_()

    sizes = [(height, width), (max(1, height // 2), max(1, width - 1))]
    return (
        draw(2, height, width),
        [draw(2, *size) for size in sizes],
        [draw(3, h * scale, w * scale) for h, w in sizes],
    )


def gradients(result: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    return torch.autograd.grad(result, leaves, weights)


@pytest.mark.parametrize("budget", [1, 20_000, 2**28])
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 3), (5, 2), (13, 17)])
def test_result_and_gradients_equal_those_of_the_plain_form(
    size: tuple[int, int], scale: int, budget: int
) -> None:
    query, keys, values = inputs(*size, scale=scale)
    leaves = [query, *keys, *values]
    ours = chunked_patch_attention(query, keys, values, scale=scale, memory_budget=budget)
    plain = dense_patch_attention(query, keys, values, scale=scale)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)
    for ours_, plain_ in zip(gradients(ours, leaves), gradients(plain, leaves), strict=True):
        torch.testing.assert_close(ours_, plain_, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("scale", [1, 2])
def test_gradients_are_right_by_finite_differences(scale: int) -> None:
    query, keys, values = inputs(2, 3, scale=scale, batch=1)

    def attend(q: Tensor, k1: Tensor, k2: Tensor, v1: Tensor, v2: Tensor) -> Tensor:
        return chunked_patch_attention(q, [k1, k2], [v1, v2], scale=scale, memory_budget=4_000)

    assert torch.autograd.gradcheck(attend, (query, *keys, *values), fast_mode=True)


def test_keys_below_the_least_norm_have_the_gradients_of_the_plain_form() -> None:
    query, keys, values = inputs(4, 5, amplitude=1e-5)
    leaves = [query, *keys, *values]
    ours = gradients(chunked_patch_attention(query, keys, values), leaves)
    plain = gradients(dense_patch_attention(query, keys, values), leaves)
    for ours_, plain_ in zip(ours, plain, strict=True):
        torch.testing.assert_close(ours_, plain_)


def test_the_operator_keeps_torchs_rules_for_compile_and_export() -> None:
    query, keys, values = inputs(4, 5, batch=1)
    min_norm = torch.tensor([1e-4], dtype=torch.float64)
    torch.library.opcheck(chunked, (query, keys, values, 10.0, min_norm, 1, 10_000))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_as_near_as_its_numbers_allow(dtype: torch.dtype) -> None:
    query, keys, values = inputs(9, 8)
    exact = dense_patch_attention(query, keys, values)
    halves = [tensor.detach().to(dtype) for tensor in (query, *keys, *values)]
    found = chunked_patch_attention(halves[0], halves[1:3], halves[3:])
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=0.05)


def test_a_full_device_gets_half_the_budget_again_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    out_of_memory._say.cache_clear()
    tried = []

    def work(budget: int) -> int:
        tried.append(budget)
        if budget > 2**22:
            raise torch.OutOfMemoryError("full")
        return budget

    with caplog.at_level(logging.WARNING):
        assert halve_when_full(work, 2**23) == 2**22
        assert halve_when_full(work, 2**23) == 2**22
    assert tried == [2**23, 2**22] * 2
    (line,) = caplog.messages
    assert "blocks of 4.0 MiB" in line


def test_a_device_too_full_for_the_least_block_is_an_error() -> None:
    def work(budget: int) -> int:
        raise torch.OutOfMemoryError("full")

    with pytest.raises(torch.OutOfMemoryError):
        halve_when_full(work, 2**22)
