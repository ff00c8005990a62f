"""Triton kernels that sum over the other side: for the softmax, and for what backward needs.

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
    size, other_size, depths = (
        (own_height, own_width),
        (other_height, other_width),
        (match, channels),
    )
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
        place = (size, other_size, own_x, other_x)
        keys = known.factor + sample * pixels(other_size) + other_x
        for offset in range(1 - ROWS - top, other_height - top):
            a, _ = both_products(
                sides, depths, place, sample, top - 1, offset, False, OPERAND, PRECISION
            )
            b, _ = both_products(
                sides, depths, place, sample, top, offset, False, OPERAND, PRECISION
            )
            for i in tl.static_range(ROWS):
                c, _ = both_products(
                    sides, depths, place, sample, top + i + 1, offset, False, OPERAND, PRECISION
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
    size, other_size, depths = (
        (own_height, own_width),
        (other_height, other_width),
        (match, channels),
    )
    sample = tl.program_id(2)
    top, own_x = tl.program_id(1) * ROWS, tl.program_id(0) * OWN + tl.arange(0, OWN)
    corner = total + sample * pixels(size) + top * own_width + own_x
    totals = ()
    for i in tl.static_range(ROWS):
        seen = inside(size, top + i, own_x)
        totals = totals + (tl.load(corner + i * own_width, mask=seen, other=0.0),)

    for left in range(0, other_width, OTHER):
        place = (size, other_size, own_x, left + tl.arange(0, OTHER))
        for offset in range(1 - ROWS - top, other_height - top):
            a, d = both_products(
                sides, depths, place, sample, top - 1, offset, True, OPERAND, PRECISION
            )
            b, e = both_products(
                sides, depths, place, sample, top, offset, True, OPERAND, PRECISION
            )
            for i in tl.static_range(ROWS):
                c, f = both_products(
                    sides, depths, place, sample, top + i + 1, offset, True, OPERAND, PRECISION
                )
                product, change = a + b + c, d + e + f
                a, b, d, e = b, c, e, f
                weights = line_weights(
                    product, change, known, place, sample, top + i, offset, KEYS_OWN, KEYS_OWN
                )
                found = totals[i] + tl.sum(weights * (product if KEYS_OWN else change), axis=1)
                totals = totals[:i] + (found,) + totals[i + 1 :]

    for i in tl.static_range(ROWS):
        tl.store(corner + i * own_width, totals[i], mask=inside(size, top + i, own_x))
