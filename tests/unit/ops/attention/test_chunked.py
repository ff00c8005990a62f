"""The chunked form against the dense one, forward and backward; what it does on a full device."""

import json
import logging
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from src.core.paths import ROOT
from src.ops.attention import chunked as module
from src.ops.attention.chunked import chunked, chunked_patch_attention, halve_when_full
from src.ops.attention.dense import dense_patch_attention

FULL = """
import json, logging, resource, torch
from pathlib import Path
from src.ops.attention.chunked import chunked_patch_attention
logging.basicConfig(format="%(message)s")
torch.set_num_threads(1)
query, key, value = (
    torch.randn(1, c, 64, 64, dtype=torch.float64, requires_grad=True) for c in (4, 4, 6)
)
def work(budget):
    result = chunked_patch_attention(query, [key], [value], memory_budget=budget)
    return result, *torch.autograd.grad((result**2).sum(), (query, key, value))
expected = work(2**20)
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 60 * 2**20,) * 2)
found = work(2**28)  # 128 MiB of scores
print(json.dumps([float((a - b).detach().abs().max()) for a, b in zip(found, expected)]))
"""


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
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 3), (5, 2), (9, 11)])
def test_result_and_gradients_equal_those_of_the_dense_form(
    size: tuple[int, int], scale: int, budget: int
) -> None:
    query, keys, values = inputs(*size, scale=scale)
    leaves = [query, *keys, *values]
    ours = chunked_patch_attention(query, keys, values, scale=scale, memory_budget=budget)
    dense = dense_patch_attention(query, keys, values, scale=scale)
    torch.testing.assert_close(ours, dense, rtol=0, atol=1e-12)
    for ours_, dense_ in zip(gradients(ours, leaves), gradients(dense, leaves), strict=True):
        torch.testing.assert_close(ours_, dense_, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("scale", [1, 2])
def test_gradients_are_right_by_finite_differences(scale: int) -> None:
    query, keys, values = inputs(2, 3, scale=scale, batch=1)

    def attend(q: Tensor, k1: Tensor, k2: Tensor, v1: Tensor, v2: Tensor) -> Tensor:
        return chunked_patch_attention(q, [k1, k2], [v1, v2], scale=scale, memory_budget=4_000)

    assert torch.autograd.gradcheck(attend, (query, *keys, *values), fast_mode=True)


def test_keys_below_the_least_norm_have_the_gradients_of_the_dense_form() -> None:
    query, keys, values = inputs(4, 5, amplitude=1e-5)
    leaves = [query, *keys, *values]
    ours = gradients(chunked_patch_attention(query, keys, values), leaves)
    dense = gradients(dense_patch_attention(query, keys, values), leaves)
    for ours_, dense_ in zip(ours, dense, strict=True):
        torch.testing.assert_close(ours_, dense_)


@pytest.mark.long
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
    module._warn.cache_clear()
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


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux does")
def test_a_full_device_halves_the_block_and_goes_on_to_the_same_result() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert max(json.loads(done.stdout)) < 1e-10
    lines = [line for line in done.stderr.splitlines() if "out of memory" in line]
    assert lines, "the device was never full: the test is too small"
    assert len(set(lines)) == len(lines)  # one for each size of block
    assert "memory_budget=" in lines[-1]
