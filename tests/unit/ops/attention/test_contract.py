"""What every form of attention promises, whoever computes it: types, layouts, tracing, recomputing.

Each operator takes five tensors: a query, and two levels of keys and of values. Agreement over many
sizes, levels and batches, and the native form's bits, have tests of their own beside this one.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jaxtyping
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from src.models.attention.pyramid import PyramidAttention
from src.ops.attention.cpp.build import load
from src.ops.attention.dense import dense_patch_attention
from src.ops.attention.local import local_patch_attention
from src.ops.attention.patch_attention import (
    fused_pixel_attention,
    patch_attention,
    pixel_attention,
)
from tests.support.loops import dense_pixel_attention

MIN_NORM = torch.tensor([1e-4])
EXACT = {torch.float64: 1e-11, torch.float32: 1e-5}
HALF = {torch.bfloat16: 0.05, torch.float16: 0.01}
SIZES = [(3, 3), (7, 5), (12, 17), pytest.param((67, 65), marks=pytest.mark.slow)]

Attend = Callable[..., Tensor]


class Operator(NamedTuple):
    """One form, the dense one that it must agree with, and how much larger its values are."""

    attend: Attend
    dense: Attend
    scale: int = 1


def patches(implementation: str, scale: int) -> Operator:
    def attend(query: Tensor, *levels: Tensor) -> Tensor:
        return patch_attention(
            query,
            levels[:2],
            levels[2:],
            min_norm=MIN_NORM.to(query.device),
            scale=scale,
            implementation=implementation,  # type: ignore[arg-type]
            # several blocks from 12×17 on; the kernel has no smaller form for small budgets
            memory_budget=2**20 if implementation == "chunked" else "auto",
        )

    def dense(query: Tensor, *levels: Tensor) -> Tensor:
        return dense_patch_attention(query, levels[:2], levels[2:], scale=scale)

    return Operator(attend, dense, scale)


def local(query: Tensor, *levels: Tensor) -> Tensor:
    side = max(query.shape[-2:])  # the window holds all, so that the dense form says what is right
    return local_patch_attention(query, levels[:2], levels[2:], window=side, min_norm=MIN_NORM)


def windows(implementation: str, scale: int) -> Operator:
    """Return windows of three pixels and five, compared with PyTorch's form in double."""

    def attend(query: Tensor, *levels: Tensor, by: str = implementation) -> Tensor:
        return patch_attention(
            query,
            levels[:2],
            levels[2:],
            min_norm=MIN_NORM,
            scale=scale,
            window=[3, 5],
            implementation=by,  # type: ignore[arg-type]
        )

    return Operator(attend, functools.partial(attend, by="chunked"), scale)


def windowed_pixels(query: Tensor, *levels: Tensor, implementation: str = "native") -> Tensor:
    return pixel_attention(
        query,
        levels[0],
        levels[2],
        window=4,
        implementation=implementation,  # type: ignore[arg-type]
    )


def pixels(form: Attend) -> Attend:
    def attend(query: Tensor, *levels: Tensor) -> Tensor:
        flat = [tensor.flatten(2) for tensor in (query, levels[0], levels[2])]
        return form(*flat).unflatten(2, query.shape[-2:])

    return attend


needs_compiler = pytest.mark.skipif(
    load("patch_attention") is None, reason="this machine has no C++ compiler"
)
OPERATORS = {
    **{f"chunked x{scale}": patches("chunked", scale) for scale in (1, 2, 3)},
    **{f"native x{scale}": patches("native", scale) for scale in (1, 2, 3)},
    "local": Operator(local, patches("chunked", 1).dense),
    **{f"native window x{scale}": windows("native", scale) for scale in (1, 2)},
    "native window of pixels": Operator(
        windowed_pixels, functools.partial(windowed_pixels, implementation="chunked")
    ),
    "pixel": Operator(pixels(fused_pixel_attention), pixels(dense_pixel_attention)),
}
every_operator = pytest.mark.parametrize(
    "operator",
    [
        pytest.param(found, id=name, marks=needs_compiler if "native" in name else ())
        for name, found in OPERATORS.items()
    ],
)


def inputs(
    operator: Operator,
    size: tuple[int, int] = (7, 5),
    *,
    batch: int = 2,
    match: int = 3,
    dtype: torch.dtype = torch.float64,
) -> list[Tensor]:
    """Return query, two levels of keys, two of values, of channels that are no powers of two."""
    generator = torch.Generator().manual_seed(size[0] * 100 + size[1])

    def draw(channels: int, height: int, width: int) -> Tensor:
        shape = (batch, channels, height, width)
        numbers = torch.randn(shape, generator=generator, dtype=torch.float64)
        return (0.3 * numbers).to(dtype).requires_grad_()

    sizes = [size, (size[0] * 3 // 4, size[1] - 1)]
    keys = [draw(match, *level) for level in sizes]
    values = [draw(5, h * operator.scale, w * operator.scale) for h, w in sizes]
    return [draw(match, *size), *keys, *values]


def gradients(result: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Return those of a weighted sum; of what has no part in it, zeros."""
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    found = torch.autograd.grad(result, leaves, weights, allow_unused=True)
    return [
        torch.zeros_like(leaf) if gradient is None else gradient
        for leaf, gradient in zip(leaves, found, strict=True)
    ]


def assert_near(found: Sequence[Tensor], expected: Sequence[Tensor], most: float) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        room = most * max(1.0, float(theirs.detach().abs().max()))
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=0, atol=room)


@every_operator
@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("size", SIZES)
def test_result_and_gradients_are_those_of_the_dense_form(
    operator: Operator, size: tuple[int, int], dtype: torch.dtype
) -> None:
    leaves = inputs(operator, size, dtype=dtype, batch=1 if size[0] > 20 else 2)
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
    result, expected = operator.attend(*leaves), operator.dense(*wide)
    assert result.dtype == dtype
    assert_near([result], [expected], EXACT[dtype])
    most = EXACT[dtype] * (1 if dtype == torch.float64 else 3)
    assert_near(gradients(result, leaves), gradients(expected, wide), most)


@every_operator
@pytest.mark.parametrize("dtype", HALF)
def test_under_autocast_the_result_is_near_and_gradients_are_finite(
    operator: Operator, dtype: torch.dtype
) -> None:
    leaves = inputs(operator, dtype=torch.float32)

    def embedded(leaf: Tensor) -> Tensor:  # as in a block: a convolution comes before
        return nn.functional.conv2d(leaf, torch.eye(leaf.shape[1])[:, :, None, None])

    with torch.autocast("cpu", dtype):
        result = operator.attend(*map(embedded, leaves))
    exact = operator.dense(*(leaf.double() for leaf in leaves))
    assert result.dtype == dtype
    torch.testing.assert_close(result.double(), exact, rtol=0, atol=HALF[dtype])
    for gradient in gradients(result, leaves):
        assert torch.isfinite(gradient).all()


@every_operator
@pytest.mark.parametrize("layout", ["channels last", "transposed", "cut out", "every other"])
def test_the_layout_in_memory_does_not_matter(operator: Operator, layout: str) -> None:
    leaves = inputs(operator)
    expected = operator.attend(*leaves)

    def laid(tensor: Tensor) -> Tensor:
        if layout == "channels last":
            return tensor.contiguous(memory_format=torch.channels_last)
        if layout == "transposed":
            return tensor.mT.contiguous().mT
        if layout == "cut out":
            return nn.functional.pad(tensor, (1, 2, 3, 1))[:, :, 3:-1, 1:-2]
        return torch.stack([tensor, tensor + 1], dim=-1).flatten(3)[..., ::2]

    views = [laid(leaf.detach()).requires_grad_() for leaf in leaves]
    assert not any(view.is_contiguous() for view in views)
    result = operator.attend(*views)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)
    assert_near(gradients(result, views), gradients(expected, leaves), 1e-11)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switch off the checks of types that tests add to every function: they cannot be compiled."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@every_operator
@pytest.mark.usefixtures("unchecked")
# torch 2.13: Dynamo itself instantiates what it says should not be
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
# and Inductor still uses what it says is deprecated
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_as_one_graph_nothing_changes(operator: Operator, backend: str) -> None:
    leaves = inputs(operator)
    torch.compiler.reset()
    compiled = torch.compile(operator.attend, fullgraph=True, backend=backend)
    result, expected = compiled(*leaves), operator.attend(*leaves)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)
    assert_near(gradients(result, leaves), gradients(expected, leaves), 1e-11)


class Block(nn.Module):
    """An operator as a network holds it."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, *leaves: Tensor) -> Tensor:
        return self.operator.attend(*leaves)


@every_operator
def test_an_exported_program_computes_the_same(operator: Operator) -> None:
    leaves = [leaf.detach() for leaf in inputs(operator, dtype=torch.float32)]
    program = torch.export.export(Block(operator), tuple(leaves))
    found = program.module()(*leaves)
    torch.testing.assert_close(found, operator.attend(*leaves), rtol=0, atol=1e-6)


@pytest.mark.long
@needs_compiler
@pytest.mark.parametrize("implementation", ["chunked", "native"])
def test_a_block_is_exported_once_for_all_sizes(implementation: str) -> None:
    block = PyramidAttention(8, levels=3, implementation=implementation).eval()  # type: ignore[arg-type]
    height, width = (torch.export.Dim(name, min=4, max=256) for name in ("height", "width"))
    program = torch.export.export(
        block, (torch.randn(1, 8, 16, 20),), dynamic_shapes=({2: height, 3: width},)
    )
    for size in [(16, 20), (9, 31), (40, 11)]:
        features = torch.randn(1, 8, *size)
        with torch.no_grad():
            torch.testing.assert_close(
                program.module()(features), block(features), rtol=0, atol=1e-5
            )


@every_operator
@pytest.mark.parametrize("reentrant", [False, True])
def test_recomputed_in_backward_the_gradients_have_the_same_bits(
    operator: Operator, *, reentrant: bool
) -> None:
    leaves = inputs(operator)
    kept = gradients(operator.attend(*leaves), leaves)
    recomputed = checkpoint(operator.attend, *leaves, use_reentrant=reentrant)
    assert isinstance(recomputed, Tensor)
    recomputed.backward(  # reentrant recomputation refuses torch.autograd.grad
        torch.linspace(-1, 1, recomputed.numel(), dtype=recomputed.dtype).view_as(recomputed)
    )
    for leaf, expected in zip(leaves, kept, strict=True):
        found = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        assert torch.equal(found, expected)


@every_operator
def test_gradients_are_right_by_finite_differences(operator: Operator) -> None:
    leaves = inputs(operator, (4, 3), batch=1, match=2)
    assert torch.autograd.gradcheck(operator.attend, leaves, fast_mode=True)


@every_operator
def test_the_same_call_gives_the_same_bits(operator: Operator) -> None:
    leaves = inputs(operator, (12, 17), dtype=torch.float32)
    first, again = (operator.attend(*leaves) for _ in range(2))
    assert torch.equal(first, again)
    assert all(map(torch.equal, gradients(first, leaves), gradients(again, leaves)))


def test_plain_the_word_of_earlier_versions_is_the_chunked_form() -> None:
    leaves = inputs(OPERATORS["chunked x1"])
    old, new = (patches(word, 1).attend(*leaves) for word in ("plain", "chunked"))
    assert torch.equal(old, new)
