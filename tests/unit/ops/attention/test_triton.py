"""The Triton kernels in Triton's interpreter, against the dense form; what is said without them."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from src.core.paths import ROOT
from src.ops.attention.triton_form import triton_patch_attention
from tests.support.interpreted import INSTALLED, needs_interpreter
from tests.support.patch_leaves import MIN_NORM, attend, exact, inputs


@pytest.mark.long
@needs_interpreter
@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((3, 3), {}),
        ((1, 4), {"levels": 2, "batch": 2}),
        pytest.param((5, 6), {"levels": 3, "batch": 2}, marks=pytest.mark.slow),
        pytest.param((4, 3), {"scale": 2}, marks=pytest.mark.slow),
        pytest.param((2, 3), {"scale": 3, "levels": 2}, marks=pytest.mark.slow),
        pytest.param((3, 2), {"match": 33, "channels": 67}, marks=pytest.mark.slow),
        pytest.param((3, 35), {"levels": 2}, marks=pytest.mark.slow),
        pytest.param((21, 17), {}, marks=pytest.mark.slow),
    ],
)
def test_result_equals_the_dense_form(size: tuple[int, int], options: dict[str, int]) -> None:
    leaves, scale = inputs(size, dtype=torch.float32, **options), options.get("scale", 1)
    with torch.no_grad():
        found = attend(leaves, implementation="triton", scale=scale)
        expected = exact(leaves, scale=scale)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.long
@needs_interpreter
@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((1, 3), {}),
        pytest.param((5, 6), {"levels": 2}, marks=pytest.mark.slow),
        pytest.param((2, 3), {"levels": 3, "batch": 2}, marks=pytest.mark.slow),
        pytest.param((3, 2), {"scale": 2}, marks=pytest.mark.slow),
        pytest.param((2, 34), {}, marks=pytest.mark.slow),
    ],
)
def test_gradients_equal_those_of_the_dense_form(
    size: tuple[int, int], options: dict[str, int]
) -> None:
    leaves, scale = inputs(size, **options), options.get("scale", 1)
    found, expected = (
        torch.autograd.grad((result * result.detach().cos()).sum(), leaves)
        for result in (
            attend(leaves, implementation="triton", scale=scale),
            exact(leaves, scale=scale),
        )
    )
    for ours, dense in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, dense, rtol=1e-9, atol=1e-11)


@needs_interpreter
@pytest.mark.slow
def test_keys_below_the_least_norm_have_the_gradients_of_the_dense_form() -> None:
    leaves = [(1e-5 * leaf.detach()).requires_grad_() for leaf in inputs((2, 3))]
    ours = torch.autograd.grad(attend(leaves, implementation="triton").sum(), leaves)
    dense = torch.autograd.grad(exact(leaves).sum(), leaves)
    for found, expected in zip(ours, dense, strict=True):
        torch.testing.assert_close(found, expected)


@needs_interpreter
@pytest.mark.slow
def test_gradients_are_right_by_finite_differences() -> None:
    leaves = inputs((2, 2), match=2, channels=2)

    def work(*leaves: Tensor) -> Tensor:
        return attend(list(leaves), implementation="triton")

    assert torch.autograd.gradcheck(work, leaves, fast_mode=True)


@needs_interpreter
@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_as_near_as_its_numbers_allow(dtype: torch.dtype) -> None:
    leaves = inputs((3, 4), levels=2, dtype=dtype)
    found, expected = attend(leaves, implementation="triton"), exact(leaves)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=0.02)
    ours, dense = (torch.autograd.grad(result.sum(), leaves) for result in (found, expected))
    for gradient, other in zip(ours, dense, strict=True):
        assert gradient.dtype == dtype
        assert (gradient - other).norm() < 0.05 * other.norm()


@needs_interpreter
@pytest.mark.slow
@pytest.mark.parametrize("sign", [-8, 8], ids=["far below zero", "far above zero"])
def test_scores_far_from_zero_do_not_overflow(sign: int) -> None:
    leaves = inputs((2, 3), dtype=torch.float32)
    far = [(0.01 * leaves[0] + sign).detach(), (0.01 * leaves[1] + 1).detach(), leaves[2]]
    found = attend(far, implementation="triton")
    torch.testing.assert_close(found.double(), exact(far), rtol=0, atol=1e-3)


@needs_interpreter
@pytest.mark.slow
def test_the_operator_keeps_torchs_rules_for_compile_and_export() -> None:
    query, key, value = inputs((1, 2), match=2, channels=3)
    arguments = (query, [key], [value], 10.0, MIN_NORM.double())
    torch.library.opcheck(triton_patch_attention, arguments)


def test_on_the_cpu_the_error_names_the_device_and_the_interpreter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(
        RuntimeError, match=r"implementation=triton: .*implementation=auto"
    ) as error:
        attend(inputs((2, 2)), implementation="triton")
    assert ("on the CPU" in str(error.value)) == INSTALLED


@pytest.mark.long
def test_without_triton_the_error_says_how_to_get_it() -> None:
    script = (
        "import sys, torch\n"
        "sys.modules['triton'] = None\n"  # as if it were not installed
        "from src.ops.attention.triton_form import refusal\n"
        "print(refusal(torch.zeros(1)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "pip install 'exemplar[triton]'" in done.stdout
