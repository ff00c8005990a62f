"""The Triton kernels: two sum over the other side, for softmax and backward, and one pastes.

A program has ROWS rows of OWN pixels; it meets the other side's rows along diagonals, OTHER pixels
at a time.
"""

from typing import no_type_check

import triton
import triton.language as tl

from src.ops.attention.triton_kernels.tiles import (
    SIZES,
    both_products,
    inside,
    line_weights,
    pixels,
)

NOWHERE = tl.constexpr(-1e30)
"""The score of a place that is no pixel."""


@triton.jit(do_not_specialize=SIZES)
@no_type_check
def sum_of_exponentials(
    sides,
    known,
    own_height,
    own_width,
    other_height,
    other_width,
    match,
    channels,
    peak,
    total,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    OWN: tl.constexpr,
    OTHER: tl.constexpr,
):
    """Add exp2(score - peak) over all keys to each query's ``total``, and raise its ``peak``.

    Both are (B, height, width), and hold what earlier levels have left.
    """
    size, other_size = (own_height, own_width), (other_height, other_width)
    depths = (match, channels)
    sample = tl.program_id(2)
    top, own_x = tl.program_id(1) * ROWS, tl.program_id(0) * OWN + tl.arange(0, OWN)
    corner = sample * pixels(size) + top * own_width + own_x
    peaks, totals = (), ()
    for i in tl.static_range(ROWS):
        seen = inside(size, top + i, own_x)
        peaks = peaks + (tl.load(peak + corner + i * own_width, mask=seen, other=0.0),)
        totals = totals + (tl.load(total + corner + i * own_width, mask=seen, other=0.0),)

    for left in range(0, other_width, OTHER):
        other_x = left + tl.arange(0, OTHER)
        place = (size, other_size, own_x, other_x, sample)
        keys = known.factor + sample * pixels(other_size) + other_x
        for offset in range(1 - ROWS - top, other_height - top):
            a, _ = both_products(sides, depths, place, top - 1, offset, False, OPERAND, PRECISION)
            b, _ = both_products(sides, depths, place, top, offset, False, OPERAND, PRECISION)
            for i in tl.static_range(ROWS):
                c, _ = both_products(
                    sides, depths, place, top + i + 1, offset, False, OPERAND, PRECISION
                )
                line = top + i + offset
                seen = inside(other_size, line, other_x)
                slope = tl.load(keys + line * other_width, mask=seen, other=0.0)
                score = tl.where(seen[None, :], (a + b + c) * slope[None, :], NOWHERE)
                highest = tl.maximum(peaks[i], tl.max(score, axis=1))
                found = tl.sum(tl.exp2(score - highest[:, None]), axis=1)
                found += totals[i] * tl.exp2(peaks[i] - highest)
                peaks = peaks[:i] + (highest,) + peaks[i + 1 :]
                totals = totals[:i] + (found,) + totals[i + 1 :]
                a, b = b, c

    for i in tl.static_range(ROWS):
        seen = inside(size, top + i, own_x)
        tl.store(peak + corner + i * own_width, peaks[i], mask=seen)
        tl.store(total + corner + i * own_width, totals[i], mask=seen)


@triton.jit(do_not_specialize=SIZES)
@no_type_check
def sum_of_changes(
    sides,
    known,
    own_height,
    own_width,
    other_height,
    other_width,
    match,
    channels,
    total,
    KEYS_OWN: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    OWN: tl.constexpr,
    OTHER: tl.constexpr,
):
    """Add to each own pixel's ``total``, (B, height, width), a sum that backward needs.

    Of a query that of attention times its gradient over all keys; of a key that of patches'
    products times their gradients over all queries.
    """
    size, other_size = (own_height, own_width), (other_height, other_width)
    depths = (match, channels)
    sample = tl.program_id(2)
    top, own_x = tl.program_id(1) * ROWS, tl.program_id(0) * OWN + tl.arange(0, OWN)
    corner = total + sample * pixels(size) + top * own_width + own_x
    totals = ()
    for i in tl.static_range(ROWS):
        seen = inside(size, top + i, own_x)
        totals = totals + (tl.load(corner + i * own_width, mask=seen, other=0.0),)

    for left in range(0, other_width, OTHER):
        place = (size, other_size, own_x, left + tl.arange(0, OTHER), sample)
        for offset in range(1 - ROWS - top, other_height - top):
            a, d = both_products(sides, depths, place, top - 1, offset, True, OPERAND, PRECISION)
            b, e = both_products(sides, depths, place, top, offset, True, OPERAND, PRECISION)
            for i in tl.static_range(ROWS):
                c, f = both_products(
                    sides, depths, place, top + i + 1, offset, True, OPERAND, PRECISION
                )
                product, change = a + b + c, d + e + f
                a, b, d, e = b, c, e, f
                weights = line_weights(
                    product, change, known, place, top + i, offset, KEYS_OWN, KEYS_OWN
                )
                found = totals[i] + tl.sum(weights * (product if KEYS_OWN else change), axis=1)
                totals = totals[:i] + (found,) + totals[i + 1 :]

    for i in tl.static_range(ROWS):
        tl.store(corner + i * own_width, totals[i], mask=inside(size, top + i, own_x))


@triton.jit(do_not_specialize=SIZES)
@no_type_check
def paste_others(
    sides,
    known,
    own_height,
    own_width,
    other_height,
    other_width,
    match,
    channels,
    pasted,
    total,
    wide,
    KEYS_OWN: tl.constexpr,
    GRADIENT: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    OWN: tl.constexpr,
    OTHER: tl.constexpr,
    WIDE: tl.constexpr,
):
    """Add to ``total``, (3, B, wide, height, width) of the own side, the other side's pixels.

    A pixel gets ``pasted``, (B, wide, height, width) of the other side, times the weights of the
    nine patches around it: along y the weights are summed before the product, along x there are
    three products, and the results of them go one pixel to the left, nowhere, and one to the right;
    their sum is the caller's. Weights are the attention, or with ``GRADIENT`` the gradient of the
    products. A program pastes WIDE channels.
    """
    size, other_size, depths = (
        (own_height, own_width),
        (other_height, other_width),
        (match, channels),
    )
    across, top, sample = tl.cdiv(own_width, OWN), tl.program_id(1) * ROWS, tl.program_id(2)
    own_x = tl.program_id(0) % across * OWN + tl.arange(0, OWN)
    channel = tl.program_id(0) // across * WIDE + tl.arange(0, WIDE)
    pasted += (sample * wide + channel)[None, :] * pixels(other_size)
    ACC: tl.constexpr = tl.float64 if total.dtype.element_ty == tl.float64 else tl.float32
    sums = (tl.zeros((OWN, WIDE), dtype=ACC),) * (3 * ROWS)

    for left in range(0, other_width, OTHER):
        other_x = left + tl.arange(0, OTHER)
        place = (size, other_size, own_x, other_x, sample)
        for offset in range(1 - ROWS - top, other_height - top):
            a, d = both_products(
                sides, depths, place, top - 2, offset, GRADIENT, OPERAND, PRECISION
            )
            b, e = both_products(
                sides, depths, place, top - 1, offset, GRADIENT, OPERAND, PRECISION
            )
            p, q = tl.zeros_like(a), tl.zeros_like(a)
            for i in tl.static_range(ROWS + 2):
                row = top + i - 1
                c, f = both_products(
                    sides, depths, place, row + 1, offset, GRADIENT, OPERAND, PRECISION
                )
                r = line_weights(
                    a + b + c, d + e + f, known, place, row, offset, KEYS_OWN, GRADIENT
                )
                if i >= 2:
                    weights = (p + q + r).to(pasted.dtype.element_ty).to(OPERAND)
                    at = pasted + ((row - 1 + offset) * other_width + other_x)[:, None]
                    for shift in tl.static_range(-1, 2):
                        seen = inside(other_size, row - 1 + offset, other_x + shift)
                        some = seen[:, None] & (channel < wide)[None, :]
                        shifted = tl.load(at + shift, mask=some, other=0.0).to(OPERAND)
                        # the index must be known when compiling, so it has no name
                        more = tl.dot(
                            weights,
                            shifted,
                            sums[3 * i + shift - 5],
                            input_precision=PRECISION,
                            out_dtype=ACC,
                        )
                        sums = sums[: 3 * i + shift - 5] + (more,) + sums[3 * i + shift - 4 :]
                a, b, d, e, p, q = b, c, e, f, q, r

    total += (sample * wide + channel)[None, :] * pixels(size)
    for i in tl.static_range(3 * ROWS):
        part = i % 3 * tl.num_programs(2) * wide * pixels(size)
        at = total + part + ((top + i // 3) * own_width + own_x)[:, None]
        some = inside(size, top + i // 3, own_x)[:, None] & (channel < wide)[None, :]
        tl.store(at, tl.load(at, mask=some, other=0.0) + sums[i], mask=some)
