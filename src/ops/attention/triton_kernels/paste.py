"""The Triton kernel that pastes: a product of patches' weights with pixels of the other side."""

from typing import no_type_check

import triton
import triton.language as tl

from src.ops.attention.triton_kernels.tiles import SIZES, both_products, inside, line_weights
from src.ops.attention.triton_kernels.tiles import pixels as pixels_of


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
    products. A program has ROWS rows of OWN pixels, in WIDE channels.
    """
    size, other_size, depths = (
        (own_height, own_width),
        (other_height, other_width),
        (match, channels),
    )
    across, top, sample = tl.cdiv(own_width, OWN), tl.program_id(1) * ROWS, tl.program_id(2)
    own_x = tl.program_id(0) % across * OWN + tl.arange(0, OWN)
    channel = tl.program_id(0) // across * WIDE + tl.arange(0, WIDE)
    pasted += (sample * wide + channel)[None, :] * pixels_of(other_size)
    ACC: tl.constexpr = tl.float64 if total.dtype.element_ty == tl.float64 else tl.float32
    sums = (tl.zeros((OWN, WIDE), dtype=ACC),) * (3 * ROWS)

    for left in range(0, other_width, OTHER):
        other_x = left + tl.arange(0, OTHER)
        place = (size, other_size, own_x, other_x)
        for offset in range(1 - ROWS - top, other_height - top):
            a, d = both_products(
                sides, depths, place, sample, top - 2, offset, GRADIENT, OPERAND, PRECISION
            )
            b, e = both_products(
                sides, depths, place, sample, top - 1, offset, GRADIENT, OPERAND, PRECISION
            )
            p, q = tl.zeros_like(a), tl.zeros_like(a)
            for i in tl.static_range(ROWS + 2):
                row = top + i - 1
                c, f = both_products(
                    sides, depths, place, sample, row + 1, offset, GRADIENT, OPERAND, PRECISION
                )
                r = line_weights(
                    a + b + c, d + e + f, known, place, sample, row, offset, KEYS_OWN, GRADIENT
                )
                if i >= 2:
                    weights = (p + q + r).to(pasted.dtype.element_ty).to(OPERAND)
                    at = pasted + ((row - 1 + offset) * other_width + other_x)[:, None]
                    for shift in tl.static_range(-1, 2):
                        seen = inside(other_size, row - 1 + offset, other_x + shift)
                        some = seen[:, None] & (channel < wide)[None, :]
                        pixels = tl.load(at + shift, mask=some, other=0.0).to(OPERAND)
                        # the index must be known when compiling, so it has no name
                        more = tl.dot(
                            weights,
                            pixels,
                            sums[3 * i + shift - 5],
                            input_precision=PRECISION,
                            out_dtype=ACC,
                        )
                        sums = sums[: 3 * i + shift - 5] + (more,) + sums[3 * i + shift - 4 :]
                a, b, d, e, p, q = b, c, e, f, q, r

    total += (sample * wide + channel)[None, :] * pixels_of(size)
    for i in tl.static_range(3 * ROWS):
        part = i % 3 * tl.num_programs(2) * wide * pixels_of(size)
        at = total + part + ((top + i // 3) * own_width + own_x)[:, None]
        some = inside(size, top + i // 3, own_x)[:, None] & (channel < wide)[None, :]
        tl.store(at, tl.load(at, mask=some, other=0.0) + sums[i], mask=some)
