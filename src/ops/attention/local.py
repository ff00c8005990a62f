"""Attention in a search window per level: time and memory linear in pixels.

The C++ kernel does it where there is one; this is the same in PyTorch. The arithmetic is that of
pyramid attention (Mei et al., 2020, arXiv:2004.13824, Sec. 3), with the keys of a query limited to
a window around its own place in each level. Blocks of queries share one region of keys, the union
of their windows; the score of two patches is the sum of the dot products of their pixels, a box sum
along the diagonals, and pasting is its transpose.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812

from src.core.heap import kept_for_reuse
from src.ops.attention.contract import OVERLAP, no_autocast, patch_norms, window_of, windows_of

BLOCK, BLOCK_ON_GPU = 8, 24
"""Queries along each axis that share a region: few, or the region is much larger than a window; but
a GPU waits for the start of each of a block's operations, so there they are more.
"""

PIXELS = 32
"""The same where pixels are compared: more, since each block's region is kept for backward."""


class Span(NamedTuple):
    """Some rows (or columns) of queries, and at each level where their windows are.

    Attributes:
        start: First query.
        stop: One past the last.
        regions: At each level the first key and one past the last.
        hidden: At each level (queries, keys), true where a key is outside a query's window.
    """

    start: int
    stop: int
    regions: tuple[slice, ...]
    hidden: tuple[Tensor, ...]


def local_patch_attention(
    query: Float[Tensor, "b k h w"],
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    *,
    window: int | Sequence[int],
    softmax_scale: float = 10.0,
    min_norm: Tensor,
    scale: int = 1,
    overlap: float = OVERLAP,
) -> Float[Tensor, "b c h2 w2"]:
    """Do as ``dense_patch_attention`` does, with the keys of each query limited to a window.

    In a level of H_s rows the window has ceil(window·H_s / H) of them, around the query's own place
    and moved inwards at the border, so that each query has as many keys; columns likewise. Where
    ``window`` is at least H and W, the result is that of ``dense_patch_attention``.

    Scores of one block of queries exist at a time; the backward pass makes them again. Sums are in
    32 bits at least, also under autocast; the result is of the values' type. ``window`` counts
    pixels of the query, for all levels or one number a level; the other arguments are those of
    ``dense_patch_attention``.
    """
    dtype = torch.promote_types(query.dtype, torch.float32)
    # s×s pixels of values are channels of one, and a 3s×3s patch at stride s a 3×3 patch of those
    cells = values if scale == 1 else [F.pixel_unshuffle(value, scale) for value in values]
    levels = [level.to(dtype) for level in (*keys, *cells)]
    lowest, windows = min_norm.to(dtype), windows_of(window, len(keys))
    pasted: Tensor = _apply(query.to(dtype), lowest, softmax_scale, windows, *levels)
    whole = pasted if scale == 1 else F.pixel_shuffle(pasted, scale)
    return (whole / overlap).to(values[0].dtype)


def local_pixel_attention(
    query: Float[Tensor, "b k h w"],
    key: Float[Tensor, "b k h w"],
    value: Float[Tensor, "b c h w"],
    *,
    window: int,
    softmax_scale: float = 1.0,
) -> Float[Tensor, "b c h w"]:
    """Return at each pixel the mean of ``value`` under softmax(scale·query·key) in its window.

    The window is that of ``local_patch_attention``. Blocks of queries go through PyTorch's fused
    attention with what they see of their region as a mask.
    """
    height, width = query.shape[-2:]
    output = value.new_zeros(value.shape)
    for rows in spans(height, [height], [window], query.device, block=PIXELS):
        for columns in spans(width, [width], [window], query.device, block=PIXELS):
            region = (..., rows.regions[0], columns.regions[0])
            hidden = rows.hidden[0][:, None, :, None] | columns.hidden[0][:, None, :]
            here = (..., slice(rows.start, rows.stop), slice(columns.start, columns.stop))
            asked, keys, values = (
                part.flatten(2).transpose(1, 2)[:, None]
                for part in (query[here], key[region], value[region])
            )
            mixed = F.scaled_dot_product_attention(
                asked, keys, values, attn_mask=~hidden.flatten(2).flatten(0, 1), scale=softmax_scale
            )
            size = (rows.stop - rows.start, columns.stop - columns.start)
            output[here] = torch.unflatten(mixed[:, 0].transpose(1, 2), -1, size)
    return output


# torch.compile cannot follow a backward that differentiates again
@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _apply(
    query: Tensor, min_norm: Tensor, softmax_scale: float, windows: tuple[int, ...], *levels: Tensor
) -> Tensor:
    pasted: Tensor = _Local.apply(query, min_norm, softmax_scale, windows, *levels)  # type: ignore[no-untyped-call]
    return pasted


class _Local(torch.autograd.Function):
    """All blocks one after another; overlapping patches are summed, not divided."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        query: Tensor,
        min_norm: Tensor,
        softmax_scale: float,
        windows: tuple[int, ...],
        *levels: Tensor,
    ) -> Tensor:
        """Return (B, C, H, W); ``levels`` are all keys, then all values."""
        ctx.save_for_backward(query, min_norm, *levels)
        ctx.softmax_scale, ctx.windows = softmax_scale, windows
        padded = [F.pad(tensor, (1, 1, 1, 1)) for tensor in (query, *levels)]
        batch, _, height, width = query.shape
        output = query.new_zeros(batch, levels[-1].shape[1], height + 2, width + 2)
        with no_autocast(query):
            for rows, columns in _blocks(query, levels, windows):
                parts = _cut(padded, rows, columns)
                pasted = _attend(parts, rows, columns, softmax_scale, min_norm)
                output[_queries(rows, columns)] += pasted
        return output[:, :, 1:-1, 1:-1].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Attend again, block by block, and add up the gradients of what each block has read."""
        query, min_norm, *levels = ctx.saved_tensors
        grad_output = F.pad(grad_outputs[0], (1, 1, 1, 1))
        padded = [F.pad(tensor, (1, 1, 1, 1)) for tensor in (query, *levels)]
        gradients = [torch.zeros_like(tensor) for tensor in padded]
        without_autocast = torch.autocast(query.device.type, enabled=False)
        with torch.enable_grad(), without_autocast, kept_for_reuse():
            for rows, columns in _blocks(query, levels, ctx.windows):
                parts = [part.detach().requires_grad_() for part in _cut(padded, rows, columns)]
                pasted = _attend(parts, rows, columns, ctx.softmax_scale, min_norm)
                wanted = torch.autograd.grad(pasted, parts, grad_output[_queries(rows, columns)])
                sums = _cut(gradients, rows, columns)
                for total, gradient in zip(sums, wanted, strict=True):
                    total += gradient  # noqa: PLW2901  a view: adds in place
        inner = [gradient[:, :, 1:-1, 1:-1] for gradient in gradients]
        return inner[0], None, None, None, *inner[1:]


def _blocks(
    query: Tensor, levels: Sequence[Tensor], windows: Sequence[int]
) -> Iterator[tuple[Span, Span]]:
    """Return the rows and columns of each block of queries."""
    keys = levels[: len(levels) // 2]
    height, width = query.shape[-2:]
    vertical = spans(height, [key.shape[2] for key in keys], windows, query.device)
    horizontal = spans(width, [key.shape[3] for key in keys], windows, query.device)
    return product(vertical, horizontal)


def _queries(rows: Span, columns: Span) -> tuple[slice, ...]:
    """Return where a block lies, with a border of one, in an image padded by one."""
    whole = slice(None)
    return whole, whole, slice(rows.start, rows.stop + 2), slice(columns.start, columns.stop + 2)


def _cut(padded: Sequence[Tensor], rows: Span, columns: Span) -> list[Tensor]:
    """Return views: of the query its block, of each key and value its region, with borders."""
    regions = [
        (slice(None), slice(None), slice(y.start, y.stop + 2), slice(x.start, x.stop + 2))
        for y, x in zip(rows.regions, columns.regions, strict=True)
    ]
    parts = [_queries(rows, columns), *regions, *regions]
    return [tensor[part] for tensor, part in zip(padded, parts, strict=True)]


def _attend(
    parts: Sequence[Tensor], rows: Span, columns: Span, softmax_scale: float, min_norm: Tensor
) -> Float[Tensor, "b c h2 w2"]:
    """Return the pasted patches of a block: its own size and a border of one around it."""
    query, levels = parts[0], len(parts) // 2
    asked = softmax_scale * query
    scores = []
    for level, key in enumerate(parts[1 : 1 + levels]):
        hidden = rows.hidden[level][:, None, :, None] | columns.hidden[level][:, None, :]
        products = _patch_scores(asked, key, min_norm)
        scores.append(products.masked_fill_(hidden, -torch.inf).flatten(3))
    attention = torch.cat(scores, dim=-1).softmax(dim=-1)
    shares = torch.split(attention, [level.shape[-1] for level in scores], dim=-1)
    pasted: Tensor | None = None
    for weights, value in zip(shares, parts[1 + levels :], strict=True):
        region = (value.shape[2] - 2, value.shape[3] - 2)
        spread = _spread(torch.unflatten(weights, -1, region)).flatten(3).flatten(1, 2)
        update = spread @ value.flatten(2).transpose(1, 2)  # (b, pixels of the block, c)
        pasted = update if pasted is None else pasted + update
    if pasted is None:
        raise ValueError("patch attention needs at least one level of keys.")
    return torch.unflatten(pasted.transpose(1, 2), -1, query.shape[-2:])


def _patch_scores(query: Tensor, key: Tensor, min_norm: Tensor) -> Float[Tensor, "b h w r s"]:
    """Return the dot products of 3×3 patches, the key's divided by its norm; both have borders."""
    pixels = query.flatten(2).transpose(1, 2) @ key.flatten(2)
    pixels = torch.unflatten(torch.unflatten(pixels, 2, key.shape[-2:]), 1, query.shape[-2:])
    return _box_sum(pixels) / patch_norms(key, min_norm)[:, :, None]


def _box_sum(pixels: Float[Tensor, "b h2 w2 r2 s2"]) -> Float[Tensor, "b h w r s"]:
    """Sum over nine aligned shifts of block and region: first along rows, then along columns."""
    rows = pixels[:, :-2, :, :-2] + pixels[:, 1:-1, :, 1:-1] + pixels[:, 2:, :, 2:]
    return rows[:, :, :-2, :, :-2] + rows[:, :, 1:-1, :, 1:-1] + rows[:, :, 2:, :, 2:]


def _spread(weights: Float[Tensor, "b h w r s"]) -> Float[Tensor, "b h2 w2 r2 s2"]:
    """Give each weight to the nine pixels of its patches: the transpose of ``_box_sum``."""
    tall = F.pad(weights, (0, 0, 2, 2, 0, 0, 2, 2))
    rows = tall[:, :-2, :, :-2] + tall[:, 1:-1, :, 1:-1] + tall[:, 2:, :, 2:]
    wide = F.pad(rows, (2, 2, 0, 0, 2, 2))
    return wide[:, :, :-2, :, :-2] + wide[:, :, 1:-1, :, 1:-1] + wide[:, :, 2:, :, 2:]


def spans(
    size: int,
    levels: Sequence[int],
    windows: Sequence[int],
    device: torch.device,
    *,
    block: int | None = None,
) -> list[Span]:
    """Cut one axis into spans of queries, and find their windows in each level.

    Args:
        size: Queries along the axis.
        levels: Keys along the axis, one number a level.
        windows: Side of each level's search window in queries.
        device: Where the masks are made.
        block: Queries in a span; None: as many as suit the device.
    """
    axis = []
    block = block or (BLOCK_ON_GPU if device.type == "cuda" else BLOCK)
    for start in range(0, size, block):
        stop = min(start + block, size)
        regions, hidden = [], []
        for level, window in zip(levels, windows, strict=True):
            seen = [window_of(at, size, level, window) for at in range(start, stop)]
            region = slice(seen[0].start, seen[-1].stop)
            first, end = (
                torch.tensor(ends, device=device)[:, None]
                for ends in ([part.start for part in seen], [part.stop for part in seen])
            )
            key = torch.arange(region.start, region.stop, device=device)
            regions.append(region)
            hidden.append((key < first) | (key >= end))
        axis.append(Span(start, stop, tuple(regions), tuple(hidden)))
    return axis
