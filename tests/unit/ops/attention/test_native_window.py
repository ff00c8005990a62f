"""The C++ kernel within search windows against PyTorch's form: any size, level, window, thread."""

import math
import resource

import pytest
import torch
from torch import Tensor

from src.core.heap import give_back_freed, given_back_at_once
from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.in_scale_non_local import InScaleNonLocalAttention
from src.models.attention.pyramid import PyramidAttention
from src.ops.attention.cpp.build import load
from src.ops.attention.local import local_patch_attention, local_pixel_attention
from src.ops.attention.native import native_patch_attention, windowed_bytes
from src.ops.attention.patch_attention import patch_attention
from tests.support.loops import dense_pixel_attention
from tests.unit.ops.attention.test_native import MIN_NORM, inputs, relative, threads

pytestmark = pytest.mark.skipif(
    load("patch_attention") is None, reason="this machine has no C++ compiler"
)


def kernel(
    query: Tensor, keys: list[Tensor], values: list[Tensor], windows: list[int], reach: int = 1
) -> Tensor:
    least = MIN_NORM.to(query.dtype)
    return native_patch_attention(query, keys, values, 10.0, least, windows, reach)[0]


def compare(
    size: tuple[int, int], windows: list[int], room: float = 1e-11, **options: object
) -> None:
    query, keys, values = inputs(size, levels=len(windows), **options)  # type: ignore[arg-type]
    leaves = [query, *keys, *values]
    ours = kernel(query, keys, values, windows)
    theirs = local_patch_attention(
        query, keys, values, window=windows, min_norm=MIN_NORM, overlap=1.0
    )
    assert relative(ours, theirs) < room
    weights = torch.linspace(-1, 1, ours.numel(), dtype=ours.dtype).view_as(ours)
    gradients = (torch.autograd.grad(result, leaves, weights) for result in (ours, theirs))
    for gradient, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=100 * room, atol=3 * room)


@pytest.mark.parametrize("amplitude", [0.2, 4.0], ids=["no maximum", "maximum subtracted"])
@pytest.mark.parametrize(
    ("size", "windows"),
    [
        *[((1, 1), [1]), ((1, 9), [4, 2]), ((3, 3), [2, 9]), ((13, 17), [1, 1, 1])],
        *[((2, 150), [7, 5]), ((70, 6), [5, 9, 3]), ((31, 29), [16, 8, 4, 40, 3])],
        pytest.param((67, 130), [9, 12], marks=pytest.mark.slow),
    ],
)
def test_result_and_gradients_equal_pytorchs(
    size: tuple[int, int], windows: list[int], amplitude: float
) -> None:
    compare(size, windows, amplitude=amplitude)


def test_levels_larger_than_the_query_are_windowed_too() -> None:
    query, _, _ = inputs((9, 11), levels=1)
    _, keys, values = inputs((21, 38), levels=2)
    window = [5, 4]
    expected = local_patch_attention(query, keys, values, window=window, min_norm=MIN_NORM)
    assert relative(kernel(query, keys, values, window) / 4, expected) < 1e-12


def test_single_precision_agrees_to_its_rounding() -> None:
    options = {"match": 32, "channels": 64, "amplitude": 0.3, "dtype": torch.float32}
    compare((40, 37), [11, 15], room=1e-5, **options)


@pytest.mark.parametrize("reach", [0, 1], ids=["pixels", "patches"])
def test_gradients_are_right_by_finite_differences(reach: int) -> None:
    query, keys, values = inputs((9, 5), batch=1, match=2, channels=2, amplitude=0.5)
    windows = [4, 3]

    def attend(*leaves: Tensor) -> Tensor:
        return kernel(leaves[0], [*leaves[1:3]], [*leaves[3:]], windows, reach)

    assert torch.autograd.gradcheck(attend, (query, *keys, *values), fast_mode=True)


@pytest.mark.parametrize("window", [1, 6, 33, 99])
def test_pixels_equal_pytorchs_and_a_window_over_all_of_them_the_dense_form(window: int) -> None:
    query, (key,), (value,) = inputs((33, 40), levels=1)
    least = MIN_NORM.double()
    ours = native_patch_attention(query, [key], [value], 1.0, least, [window], 0)[0]
    theirs = local_pixel_attention(query, key, value, window=window)
    assert relative(ours, theirs) < 1e-12
    if window > 40:
        flat = (tensor.flatten(2) for tensor in (query, key, value))
        assert relative(ours, dense_pixel_attention(*flat).view_as(ours)) < 1e-12
    leaves = [query, key, value]
    gradients = (torch.autograd.grad(result.square().sum(), leaves) for result in (ours, theirs))
    for gradient, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-11)


def test_pixels_whose_scores_are_beyond_any_exponential_keep_their_softmax() -> None:
    query, (key,), (value,) = inputs((12, 9), levels=1, amplitude=20.0)  # scores up to thousands
    least = MIN_NORM.double()
    ours = native_patch_attention(query, [key], [value], 1.0, least, [5], 0)[0]
    assert relative(ours, local_pixel_attention(query, key, value, window=5)) < 1e-11


@pytest.mark.parametrize("offset", [7.0, 30.0])
@pytest.mark.parametrize("window", [5, 99])
def test_pixels_whose_scores_all_vanish_beside_one_keep_their_softmax(
    window: int, offset: float
) -> None:
    """Every score is below -126 to base 2: 2**score is 0 in single precision, for all keys."""
    query, (key,), (value,) = inputs((12, 9), levels=1, dtype=torch.float32)
    with torch.no_grad():
        query[:, :, :6] += offset  # the rows below keep scores of either sign
        key -= offset
    ours = native_patch_attention(query, [key], [value], 1.0, MIN_NORM, [window], 0)[0]
    scores = torch.einsum("bkhw,bkij->bhwij", query, key)[:, :6]
    assert scores.max() * math.log2(math.e) < -126
    double = [tensor.double() for tensor in (query, key, value)]
    assert relative(ours, local_pixel_attention(*double, window=window)) < 1e-4
    leaves = [query, key, value]
    gradients = torch.autograd.grad(ours.square().sum(), leaves)
    for gradient, expected in zip(
        gradients,
        torch.autograd.grad(local_pixel_attention(*double, window=window).square().sum(), leaves),
        strict=True,
    ):
        assert relative(gradient, expected) < 1e-3


def test_the_result_does_not_depend_on_threads_and_the_same_call_gives_the_same_bits() -> None:
    query, keys, values = inputs((43, 70), batch=1, dtype=torch.float32)
    leaves = [query, *keys, *values]
    results = []
    for count in (1, 2, 3, 3):
        with threads(count):
            result = kernel(query, keys, values, [9, 7])
            results.append([result, *torch.autograd.grad(result.sum(), leaves)])
    assert all(torch.equal(results[0][0], other[0]) for other in results)
    assert all(map(torch.equal, results[2], results[3]))


def test_what_is_outside_the_window_changes_no_bit() -> None:
    query, keys, values = inputs((20, 24), levels=1, batch=1, dtype=torch.float32)
    before = kernel(query, keys, values, [5])
    far = [tensor.detach().clone() for tensor in (*keys, *values)]
    for tensor in far:
        tensor[..., 12:, :] += 3
    after = kernel(query, far[:1], far[1:], [5])
    assert torch.equal(before[..., :7, :], after[..., :7, :])
    assert not torch.equal(before[..., 12:, :], after[..., 12:, :])


def test_a_key_that_is_no_number_is_not_passed_over() -> None:
    query, keys, values = inputs((9, 8), levels=1, batch=1, dtype=torch.float32)
    with torch.no_grad():
        keys[0][0, 0, 4, 4] = torch.nan
        assert kernel(query, keys, values, [5])[0, 0, 4, 4].isnan()


def test_auto_takes_the_kernel_and_a_window_over_all_is_exact_attention() -> None:
    query, keys, values = inputs((14, 12), dtype=torch.float32)

    def attend(window: int | None, implementation: str = "auto") -> Tensor:
        return patch_attention(
            query,
            keys,
            values,
            min_norm=MIN_NORM,
            window=window,
            implementation=implementation,  # type: ignore[arg-type]
        )

    assert torch.equal(attend(5), attend(5, "native"))
    assert torch.equal(attend(14), attend(None))
    torch.testing.assert_close(attend(5), attend(5, "chunked"), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="at least 1 pixel"):
        attend(0)


@pytest.mark.parametrize(
    "block",
    [PyramidAttention(8), CrossScaleAttention(8), InScaleNonLocalAttention(8)],
    ids=["pyramid", "cross_scale", "in_scale"],
)
def test_every_block_of_the_family_takes_a_window(block: torch.nn.Module) -> None:
    features = torch.randn(1, 8, 26, 22, generator=torch.Generator().manual_seed(1))
    results = {}
    with torch.no_grad():
        for window in (None, 26, 9):
            block.window = window  # type: ignore[assignment]
            results[window] = block(features)
        block.implementation = "chunked"  # type: ignore[assignment]
        torch.testing.assert_close(block(features), results[9], rtol=0, atol=1e-5)
    assert torch.equal(results[26], results[None])
    assert (results[9] - results[None]).abs().max() > 1e-4


def test_memory_beside_the_features_does_not_grow_with_the_image() -> None:
    def needed(side: int) -> int:
        query = torch.empty(1, 32, side, side, device="meta")
        keys = [query, torch.empty(1, 32, side // 2, side // 2, device="meta")]
        return windowed_bytes(query, keys, 64, [49, 49])

    assert needed(2048) == needed(256)


@pytest.mark.skipif(not give_back_freed(), reason="only glibc can be told to give memory back")
def test_a_strip_works_in_the_memory_of_the_one_before() -> None:
    """Pages from the system have to be zeroed, which took a tenth of predict's attention."""
    query = torch.randn(1, 32, 8 * 128, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), threads(1), given_back_at_once():
        one_strip = windowed_bytes(query, [query], 32, [9])
        give_back_freed()  # what earlier tests have left
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        kernel(query, [query], [query], [9])
        pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    # there are eight of them, and each is worked on twice
    assert pages * resource.getpagesize() < 2 * one_strip + 2 * query.nbytes
