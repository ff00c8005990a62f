"""Attention in a search window against the dense form and a loop; its cost, counted."""

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from src.models.attention.pyramid import PyramidAttention
from src.models.attention.pyramid_local import LocalPyramidAttention
from src.ops.attention.contract import normalise_patches, paste_patches, unfold_patches
from src.ops.attention.dense import dense_patch_attention
from src.ops.attention.local import local_patch_attention
from src.ops.attention.patch_attention import pixel_attention

MIN_NORM = torch.tensor([1e-4])


def inputs(
    height: int, width: int, *, batch: int = 2, match: int = 3, channels: int = 5
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(height * 100 + width)

    def draw(planes: int, h: int, w: int) -> Tensor:
        numbers = torch.randn(batch, planes, h, w, generator=generator, dtype=torch.float64)
        return (0.5 * numbers).requires_grad_()

    sizes = [(height, width), (max(1, height * 9 // 10), max(1, width * 6 // 10))]
    return (
        draw(match, height, width),
        [draw(match, *s) for s in sizes],
        [draw(channels, *s) for s in sizes],
    )


def first_key(at: int, size: int, level: int, window: int) -> tuple[int, int]:
    """Return the first key of a query's window along one axis, and how many there are."""
    side = min(level, -(-window * level // size))
    centre = int((at + 0.5) * level / size)
    return min(max(centre - side // 2, 0), level - side), side


def masked(query: Tensor, keys: list[Tensor], values: list[Tensor], window: int) -> Tensor:
    """Attend by the dense form with a mask over all keys, made query by query."""
    height, width = query.shape[-2:]
    seen = []
    for y in range(height):
        for x in range(width):
            visible = []
            for key in keys:
                plane = torch.zeros(key.shape[-2:], dtype=torch.bool)
                top, rows = first_key(y, height, key.shape[2], window)
                left, columns = first_key(x, width, key.shape[3], window)
                plane[top : top + rows, left : left + columns] = True
                visible.append(plane.flatten())
            seen.append(torch.cat(visible))
    key = torch.cat([normalise_patches(unfold_patches(k), MIN_NORM.double()) for k in keys], 2)
    scores = 10 * unfold_patches(query).transpose(1, 2) @ key
    attention = scores.masked_fill(~torch.stack(seen), -torch.inf).softmax(-1)
    value = torch.cat([unfold_patches(v) for v in values], 2)
    return paste_patches(value @ attention.transpose(1, 2), height, width)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 3), (8, 9), (13, 17), (24, 31)])
def test_a_window_over_the_whole_image_gives_the_dense_form(size: tuple[int, int]) -> None:
    query, keys, values = inputs(*size)
    local = local_patch_attention(query, keys, values, window=max(size), min_norm=MIN_NORM)
    dense = dense_patch_attention(query, keys, values, min_norm=MIN_NORM.double())
    torch.testing.assert_close(local, dense, rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [1, 2, 5, 9, 16])
def test_each_query_attends_to_its_window_and_to_nothing_else(window: int) -> None:
    query, keys, values = inputs(18, 21)
    local = local_patch_attention(query, keys, values, window=window, min_norm=MIN_NORM)
    expected = masked(query, keys, values, window)
    torch.testing.assert_close(local, expected, rtol=0, atol=1e-12)
    windows = [window, window]
    dense = dense_patch_attention(query, keys, values, windows=windows, min_norm=MIN_NORM.double())
    torch.testing.assert_close(dense, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [1, 4, 9, 30])
def test_pixels_within_a_window_are_the_same_in_the_form_for_export(window: int) -> None:
    query, keys, _ = inputs(18, 21)
    alike = {"window": window}
    dense = pixel_attention(query, keys[0], keys[0], implementation="dense", **alike)
    local = pixel_attention(query, keys[0], keys[0], implementation="chunked", **alike)
    torch.testing.assert_close(dense, local, rtol=0, atol=1e-12)


def test_gradients_equal_those_of_the_masked_dense_form() -> None:
    query, keys, values = inputs(18, 21)
    leaves = [query, *keys, *values]
    local = local_patch_attention(query, keys, values, window=7, min_norm=MIN_NORM)
    weights = torch.linspace(-1, 1, local.numel(), dtype=local.dtype).view_as(local)
    ours = torch.autograd.grad(local, leaves, weights)
    expected = torch.autograd.grad(masked(query, keys, values, 7), leaves, weights)
    for gradient, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=0, atol=1e-11)


@pytest.mark.long
def test_gradients_are_right_by_finite_differences() -> None:
    # 9 rows are two blocks, whose regions overlap
    query, keys, values = inputs(9, 3, batch=1, match=2, channels=2)

    def attend(q: Tensor, k1: Tensor, k2: Tensor, v1: Tensor, v2: Tensor) -> Tensor:
        return local_patch_attention(q, [k1, k2], [v1, v2], window=4, min_norm=MIN_NORM)

    assert torch.autograd.gradcheck(attend, (query, *keys, *values))


def test_keys_of_zeros_give_finite_results_and_gradients() -> None:
    query, keys, values = inputs(10, 9)
    keys[0].detach().zero_()
    result = local_patch_attention(query, keys, values, window=5, min_norm=MIN_NORM)
    result.sum().backward()
    assert all(torch.isfinite(t).all() for t in (result, query.grad, keys[0].grad))  # type: ignore[arg-type]


def blocks(window: int, channels: int = 16) -> tuple[PyramidAttention, LocalPyramidAttention]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pyramid = PyramidAttention(channels, implementation="chunked")
    local = LocalPyramidAttention(channels, window=window)
    local.load_state_dict(pyramid.state_dict())  # strict: the same names and shapes
    return pyramid, local


def test_weights_of_pyramid_attention_give_its_result_within_the_window() -> None:
    pyramid, local = blocks(window=33)
    features = torch.randn(2, 16, 33, 27, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(local(features), pyramid(features), rtol=0, atol=1e-5)
        beyond = torch.cat([features, features.flip(-2)], dim=-2)
        assert (local(beyond) - pyramid(beyond)).abs().max() > 1e-3


def flops(block: torch.nn.Module, side: int, *, backward: bool) -> int:
    features = torch.zeros(1, 16, side, side, requires_grad=backward)
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        result = block(features)
        if backward:
            result.sum().backward()
    return counter.get_total_flops()


@pytest.mark.slow  # the window of the default, at the size where it begins to matter
@pytest.mark.parametrize("backward", [False, True])
def test_multiplications_grow_with_the_pixels_not_with_their_square(*, backward: bool) -> None:
    local = LocalPyramidAttention(16)
    growth = flops(local, 128, backward=backward) / flops(local, 64, backward=backward)
    assert growth <= 1.2 * 4


@pytest.mark.long
def test_a_narrow_window_costs_linearly_already_on_small_images() -> None:
    local = LocalPyramidAttention(16, window=9, levels=2)
    assert flops(local, 96, backward=False) / flops(local, 48, backward=False) <= 1.2 * 4


def test_a_window_without_a_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="window=0"):
        LocalPyramidAttention(16, window=0)
