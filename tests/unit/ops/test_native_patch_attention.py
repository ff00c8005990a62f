"""The C++ kernel against the plain form, forward and backward."""

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from src.core.paths import ROOT
from src.ops.fast_patch_attention import patch_attention
from src.ops.native.build import load
from src.ops.native_patch_attention import native_patch_attention
from src.ops.patch_attention import dense_patch_attention

pytestmark = pytest.mark.skipif(
    load("patch_attention") is None, reason="this machine has no C++ compiler"
)
MIN_NORM = torch.tensor([1e-4])

# One pixel; smaller than a patch; odd; several columns of strips; tall; many rows of strips.
SIZES = [
    *[(1, 1), (1, 9), (3, 3), (13, 17), (5, 150), (70, 6), (31, 29)],
    pytest.param((67, 65), marks=pytest.mark.slow),
]


def inputs(
    size: tuple[int, int],
    *,
    batch: int = 2,
    match: int = 5,
    channels: int = 7,
    scale: int = 1,
    amplitude: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(size[0] * 1000 + size[1])

    def draw(planes: int, height: int, width: int) -> Tensor:
        shape = (batch, planes, height, width)
        numbers = torch.randn(shape, generator=generator, dtype=torch.float64)
        return (amplitude * numbers).to(dtype).requires_grad_()

    height, width = size
    levels = [size, (max(1, height * 3 // 5), max(1, width - 1))]
    return (
        draw(match, height, width),
        [draw(match, *level) for level in levels],
        [draw(channels, level[0] * scale, level[1] * scale) for level in levels],
    )


def both(
    size: tuple[int, int], **options: object
) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """Return results and all gradients, of the kernel and of the plain form."""
    scale = options.get("scale", 1)
    assert isinstance(scale, int)
    query, keys, values = inputs(size, **options)  # type: ignore[arg-type]
    leaves = [query, *keys, *values]
    found = []
    for implementation in ("native", "plain"):
        result = patch_attention(
            query,
            keys,
            values,
            min_norm=MIN_NORM,
            scale=scale,
            implementation=implementation,  # type: ignore[arg-type]
        )
        weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
        found.append((result, list(torch.autograd.grad(result, leaves, weights))))
    return found[0][0], found[1][0], found[0][1], found[1][1]


def relative(ours: Tensor, plain: Tensor) -> float:
    difference = (ours - plain).detach().abs().max()
    return float(difference / plain.detach().abs().max().clamp(min=1e-12))


@pytest.mark.parametrize("amplitude", [0.2, 4.0], ids=["no maximum", "maximum subtracted"])
@pytest.mark.parametrize("size", SIZES)
def test_result_and_gradients_equal_the_plain_form(size: tuple[int, int], amplitude: float) -> None:
    ours, plain, our_gradients, plain_gradients = both(size, amplitude=amplitude)
    assert relative(ours, plain) < 1e-12
    for gradient, expected in zip(our_gradients, plain_gradients, strict=True):
        # one patch against one key: the softmax is constant and its gradient is rounding
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("scale", [2, 3])
def test_cross_scale_values_equal_the_plain_form(scale: int) -> None:
    ours, plain, our_gradients, plain_gradients = both((9, 11), scale=scale)
    assert relative(ours, plain) < 1e-12
    for gradient, expected in zip(our_gradients, plain_gradients, strict=True):
        assert relative(gradient, expected) < 1e-11


def test_single_precision_agrees_to_its_rounding() -> None:
    options = {"match": 32, "channels": 64, "amplitude": 0.3, "dtype": torch.float32}
    ours, plain, our_gradients, plain_gradients = both((32, 29), **options)
    assert relative(ours, plain) < 1e-5
    for gradient, expected in zip(our_gradients, plain_gradients, strict=True):
        assert relative(gradient, expected) < 3e-5


def test_gradients_are_right_by_finite_differences() -> None:
    query, keys, values = inputs((3, 4), batch=1, match=2, channels=3, amplitude=0.5)
    min_norm = MIN_NORM.double()

    def attend(q: Tensor, k1: Tensor, k2: Tensor, v1: Tensor, v2: Tensor) -> Tensor:
        return native_patch_attention(q, [k1, k2], [v1, v2], 10.0, min_norm)[0]

    assert torch.autograd.gradcheck(attend, (query, *keys, *values))


def test_strided_inputs_are_taken_as_they_are() -> None:
    query, keys, values = inputs((8, 6))
    expected = dense_patch_attention(query, keys, values)
    views = [
        t.detach().transpose(2, 3).contiguous().transpose(2, 3) for t in (query, *keys, *values)
    ]
    assert not views[0].is_contiguous()
    found = patch_attention(
        views[0], views[1:3], views[3:], min_norm=MIN_NORM, implementation="native"
    )
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=1e-12)


def test_the_same_call_gives_the_same_bits() -> None:
    results = [both((40, 33), dtype=torch.float32) for _ in range(2)]
    assert torch.equal(results[0][0], results[1][0])
    assert all(map(torch.equal, results[0][2], results[1][2]))


def test_the_operator_keeps_torchs_rules_for_compile_and_export() -> None:
    query, keys, values = inputs((4, 5), batch=1, match=2, channels=3)
    torch.library.opcheck(native_patch_attention, (query, keys, values, 10.0, MIN_NORM.double()))


@pytest.mark.parametrize(
    "setting",
    [{"EXEMPLAR_NATIVE": "0"}, {"CXX": "/no/such/compiler"}],
    ids=["switched off", "no compiler"],
)
def test_without_a_compiler_pytorch_does_the_work(
    setting: dict[str, str], tmp_path: object
) -> None:
    script = (
        "import torch\n"
        "from src.models.attention.pyramid import PyramidAttention\n"
        "from src.ops.native_patch_attention import available\n"
        "features = torch.rand(1, 16, 6, 5)\n"
        "assert not available(features)\n"
        "PyramidAttention(16)(features).sum().backward()\n"
        "print('worked')\n"
    )
    environment = {**os.environ, "EXEMPLAR_CACHE": str(tmp_path), **setting}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "worked", done.stderr
