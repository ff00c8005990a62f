"""The C++ kernel against the dense and the chunked form, forward and backward."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from src.ops.attention.cpp.build import load
from src.ops.attention.dense import dense_patch_attention
from src.ops.attention.native import _compiled, native_patch_attention
from src.ops.attention.patch_attention import patch_attention

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
    levels: int = 2,
    amplitude: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(size[0] * 1000 + size[1])

    def draw(planes: int, height: int, width: int) -> Tensor:
        shape = (batch, planes, height, width)
        numbers = torch.randn(shape, generator=generator, dtype=torch.float64)
        return (amplitude * numbers).to(dtype).requires_grad_()

    height, width = size
    shrunk = [(height * 3 // 5, width - 1), (height - 1, width), (height // 2, width // 3), (1, 1)]
    sizes = [size, *((max(1, h), max(1, w)) for h, w in shrunk)][:levels]
    return (
        draw(match, height, width),
        [draw(match, *level) for level in sizes],
        [draw(channels, level[0] * scale, level[1] * scale) for level in sizes],
    )


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def both(
    size: tuple[int, int], **options: object
) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """Return results and all gradients, of the kernel and of the chunked form."""
    scale = options.get("scale", 1)
    assert isinstance(scale, int)
    query, keys, values = inputs(size, **options)  # type: ignore[arg-type]
    leaves = [query, *keys, *values]
    found = []
    for implementation in ("native", "chunked"):
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


def relative(ours: Tensor, theirs: Tensor) -> float:
    difference = (ours - theirs).detach().abs().max()
    return float(difference / theirs.detach().abs().max().clamp(min=1e-12))


@pytest.mark.parametrize("amplitude", [0.2, 4.0], ids=["no maximum", "maximum subtracted"])
@pytest.mark.parametrize("size", SIZES)
def test_result_and_gradients_equal_the_chunked_ones(
    size: tuple[int, int], amplitude: float
) -> None:
    ours, theirs, our_gradients, their_gradients = both(size, amplitude=amplitude)
    assert relative(ours, theirs) < 1e-12
    for gradient, expected in zip(our_gradients, their_gradients, strict=True):
        # one patch against one key: the softmax is constant and its gradient is rounding
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("count", [1, 2], ids=["1 thread", "2 threads"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("size", "levels", "batch"),
    [((1, 2), 5, 1), ((2, 1), 1, 2), ((2, 37), 3, 3), ((40, 2), 4, 1), ((9, 11), 5, 2)],
)
def test_every_scale_and_number_of_levels_equals_the_chunked_form(
    size: tuple[int, int], levels: int, batch: int, scale: int, count: int
) -> None:
    with threads(count):
        found = both(size, levels=levels, batch=batch, channels=3, scale=scale)
    ours, theirs, our_gradients, their_gradients = found
    assert relative(ours, theirs) < 1e-12
    for gradient, expected in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-11)


def test_single_precision_agrees_to_its_rounding() -> None:
    options = {"match": 32, "channels": 64, "amplitude": 0.3, "dtype": torch.float32}
    ours, theirs, our_gradients, their_gradients = both((32, 29), **options)
    assert relative(ours, theirs) < 1e-5
    for gradient, expected in zip(our_gradients, their_gradients, strict=True):
        assert relative(gradient, expected) < 3e-5


@pytest.mark.parametrize(
    ("size", "levels", "fast"),
    [
        ((3, 4), 2, False),
        ((2, 3), 5, False),
        ((17, 12), 3, True),
        pytest.param((67, 65), 2, True, marks=pytest.mark.slow),
    ],
)
def test_gradients_are_right_by_finite_differences(
    size: tuple[int, int], levels: int, *, fast: bool
) -> None:
    query, keys, values = inputs(size, batch=1, match=2, channels=3, levels=levels, amplitude=0.5)
    min_norm = MIN_NORM.double()

    def attend(query: Tensor, *rest: Tensor) -> Tensor:
        keys, values = list(rest[:levels]), list(rest[levels:])
        return native_patch_attention(query, keys, values, 10.0, min_norm, None, 1)[0]

    assert torch.autograd.gradcheck(attend, (query, *keys, *values), fast_mode=fast)


@pytest.mark.parametrize("sign", [-1.0, 1.0], ids=["far below zero", "far above zero"])
def test_scores_far_from_zero_keep_their_precision(sign: float) -> None:
    query, keys, values = inputs((12, 9), amplitude=0.01)
    near = [sign * (query + 8), [key + 1 for key in keys], values]  # scores about 8·10·√45
    expected = dense_patch_attention(*near, min_norm=MIN_NORM.double())
    single = [near[0].float(), [t.float() for t in near[1]], [t.float() for t in near[2]]]
    found = patch_attention(*single, min_norm=MIN_NORM, implementation="native")
    assert relative(found.double(), expected) < 1e-3  # 540 in float32 is known to 3e-5


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


@pytest.mark.parametrize("batch", [1, 3])
def test_the_result_does_not_depend_on_the_number_of_threads(batch: int) -> None:
    query, keys, values = inputs((43, 70), batch=batch, dtype=torch.float32)
    results = []
    for count in (1, 2, 3):
        with threads(count):
            results.append(native_patch_attention(query, keys, values, 10.0, MIN_NORM, None, 1))
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


@pytest.mark.long
def test_whether_the_kernel_is_there_is_marked_as_torch_marks_what_it_asks_once() -> None:
    def asked() -> bool:
        return True

    marks = vars(torch.compiler.assume_constant_result(asked))
    assert marks.items() <= vars(_compiled).items()


@pytest.mark.long
def test_the_operator_keeps_torchs_rules_for_compile_and_export() -> None:
    query, keys, values = inputs((4, 5), batch=1, match=2, channels=3)
    for windows, reach in ((None, 1), ([2, 3], 1), ([3, 3], 0)):
        arguments = (query, keys, values, 10.0, MIN_NORM.double(), windows, reach)
        torch.library.opcheck(native_patch_attention, arguments)


@pytest.mark.long
def test_half_a_million_keys_of_equal_weight_round_nothing_away() -> None:
    """On a whole photograph each key gives so little that a growing sum would lose part of it."""
    draw = torch.Generator().manual_seed(0)
    query = torch.zeros(1, 2, 3, 4)
    keys = [torch.rand(1, 2, 700, 701, generator=draw)]
    values = [1 + torch.rand(1, 2, 700, 701, generator=draw)]
    exact = dense_patch_attention(
        query.double(), [keys[0].double()], [values[0].double()], min_norm=1e-4
    )
    found = patch_attention(
        query, keys, values, min_norm=torch.tensor(1e-4), implementation="native"
    )
    torch.testing.assert_close(found.double(), exact, rtol=2e-6, atol=0.0)
