"""Patch attention on a GPU, in every form, against the dense form in double precision."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.core.memory import MOST_ON_GPU
from src.ops.attention.patch_attention import patch_attention
from tests.support.gpu import needs_gpu
from tests.support.patch_leaves import MIN_NORM, attend, exact, inputs

pytestmark = needs_gpu

SHAPES = [
    ((3, 3), {}),
    ((1, 4), {"levels": 2, "batch": 2}),
    ((4, 3), {"scale": 2}),
    ((2, 3), {"scale": 3, "levels": 2}),
    ((3, 35), {"levels": 2}),
    ((21, 17), {"match": 33, "channels": 67}),
    ((48, 48), {"match": 32, "channels": 64, "levels": 2, "batch": 2}),
    ((65, 33), {"match": 16, "channels": 130, "levels": 3}),
]
FORMS = ["auto", "chunked", "dense"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("size", "options"), SHAPES)
def test_result_equals_the_dense_form_in_double_precision(
    size: tuple[int, int], options: dict[str, int], form: str
) -> None:
    leaves = inputs(size, dtype=torch.float32, device="cuda", **options)
    scale = options.get("scale", 1)
    with torch.no_grad():
        found, expected = (
            attend(leaves, implementation=form, scale=scale),
            exact(leaves, scale=scale),
        )
    assert found.is_cuda
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("size", "options"), SHAPES)
def test_gradients_equal_those_of_the_dense_form(
    size: tuple[int, int], options: dict[str, int], form: str
) -> None:
    leaves, scale = inputs(size, device="cuda", **options), options.get("scale", 1)
    narrow = [leaf.detach().float().requires_grad_() for leaf in leaves]
    expected = _gradients(exact(leaves, scale=scale), leaves)
    found = _gradients(attend(narrow, implementation=form, scale=scale), narrow)
    for ours, right in zip(found, expected, strict=True):
        assert (ours - right).norm() <= 1e-5 * right.norm() + 1e-7


def test_double_precision_passes_gradcheck() -> None:
    leaves = inputs((3, 4), levels=2, device="cuda")
    assert torch.autograd.gradcheck(
        lambda *leaves: attend(list(leaves), implementation="auto"), leaves, fast_mode=True
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_as_near_as_its_numbers_allow(dtype: torch.dtype) -> None:
    leaves = inputs((40, 33), match=16, channels=32, levels=2, dtype=dtype, device="cuda")
    found, expected = attend(leaves, implementation="auto"), exact(leaves)
    assert (found - expected).norm() < 0.02 * expected.norm()
    ours, right = (_gradients(result, leaves) for result in (found, expected))
    for gradient, other in zip(ours, right, strict=True):
        assert gradient.dtype == dtype
        assert (gradient - other).norm() < 0.05 * other.norm()


def test_the_same_call_gives_the_same_bits() -> None:
    leaves = inputs((48, 48), match=32, channels=64, levels=2, dtype=torch.float32, device="cuda")
    runs = []
    for _ in range(2):
        result = attend(leaves, implementation="auto")
        runs.append([result, *_gradients(result, leaves)])
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


def test_memory_is_bounded_whatever_the_number_of_pairs() -> None:
    """Scores of 256² pixels and as many keys would be 17 GB."""
    leaves = inputs((256, 256), match=32, channels=64, dtype=torch.float32, device="cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with torch.no_grad():
        attend(leaves, implementation="auto")
    assert torch.cuda.max_memory_allocated() - before < 2 * MOST_ON_GPU


def test_features_that_are_not_contiguous_give_the_same_result() -> None:
    query, key, value = inputs((16, 24), match=8, channels=8, dtype=torch.float32, device="cuda")
    plain = attend([query, key, value], implementation="auto")
    last = [leaf.to(memory_format=torch.channels_last) for leaf in (query, key, value)]
    torch.testing.assert_close(attend(last, implementation="auto"), plain, rtol=0, atol=1e-6)


def test_autocast_reaches_the_products_and_gradients_keep_the_type_of_the_weights() -> None:
    """As in a training with ``trainer.precision=bf16-mixed``."""
    query, key, value = inputs((24, 24), match=8, channels=8, dtype=torch.float32, device="cuda")
    kernel = torch.randn(8, 8, 1, 1, device="cuda", requires_grad=True)
    with torch.autocast("cuda", torch.bfloat16):
        narrow = F.conv2d(query, kernel)
        assert narrow.dtype == torch.bfloat16
        result = patch_attention(
            narrow,
            [F.conv2d(key, kernel)],
            [F.conv2d(value, kernel)],
            min_norm=MIN_NORM.to("cuda"),
            implementation="auto",
        )
    (gradient,) = torch.autograd.grad(result.float().square().mean(), kernel)
    assert gradient.dtype == torch.float32
    assert gradient.isfinite().all()


def _gradients(result: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad((result * result.detach().cos()).sum(), leaves)
