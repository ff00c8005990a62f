"""What all Triton kernels do with a tile: products of patches, and the weights made of them.

Each pair of pixels has an own side, for which a program computes something, and another side, which
it goes through. A tile is a line of own pixels against a line of other ones. Triton reads the
source of these functions, so nothing may wrap them to check types: hence ``no_type_check``.
"""

from typing import NamedTuple, no_type_check

import triton
import triton.language as tl

DEPTH = tl.constexpr(16)
"""Channels in one product."""

LN2 = tl.constexpr(0.6931471805599453)


SIZES = ("own_height", "own_width", "other_height", "other_width", "match", "channels", "wide")
"""What a kernel must not be compiled anew for: each level of a pyramid has other sizes."""


class Sides(NamedTuple):
    """Both sides' pixels.

    Attributes:
        own_match: (B, K, height, width), what is compared.
        other_match: As much of the other side.
        own_value: (B, C, height, width), of keys what is pasted, of queries the result's gradient.
        other_value: As much of the other side.
    """

    own_match: object
    other_match: object
    own_value: object
    other_value: object


class Known(NamedTuple):
    """What is known of each pixel.

    Attributes:
        factor: Of each key, what makes a product of patches a score to base 2.
        normaliser: Of each query, the logarithm to base 2 of its softmax's denominator.
        mean: Of each query, the mean gradient of the attention under the attention.
    """

    factor: object
    normaliser: object
    mean: object


@triton.jit
@no_type_check
def inside(size, row, x):
    """Return which pixels of a line are in an image of ``size``, its height and width."""
    return (row >= 0) & (row < size[0]) & (x >= 0) & (x < size[1])


@triton.jit
@no_type_check
def pixels(size):
    """Return how many there are, in 64 bits: addresses of large batches need them."""
    return size[0].to(tl.int64) * size[1]


@triton.jit
@no_type_check
def both_products(
    sides,
    depths,
    place,
    row,
    offset,
    GRADIENT: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Return the products of what is compared, and with ``GRADIENT`` those of values too.

    ``depths`` are the channels of both; see ``line_products`` for the rest.
    """
    own, other = pixels(place[0]) * place[4], pixels(place[1]) * place[4]
    product = line_products(
        sides.own_match + own * depths[0],
        sides.other_match + other * depths[0],
        place,
        row,
        offset,
        depths[0],
        OPERAND,
        PRECISION,
    )
    change = product
    if GRADIENT:
        change = line_products(
            sides.own_value + own * depths[1],
            sides.other_value + other * depths[1],
            place,
            row,
            offset,
            depths[1],
            OPERAND,
            PRECISION,
        )
    return product, change


@triton.jit
@no_type_check
def line_products(
    own,
    other,
    place,
    row,
    offset,
    channels,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Return products of pixels of two lines, summed over three shifts along both.

    Three products of shifted pixels make the sum along x: tensor cores multiply faster than tiles
    can be shifted. Both lines advance together, so the sum along y is that of the last three tiles.
    Pixels beyond the border are zeros.

    Args:
        own: One sample, (channels, height, width).
        other: One sample of the other side.
        place: Sizes of both sides, pixels of both lines, which may be outside; the sample.
        row: Which own line; it may be outside.
        offset: How far below it the other line is.
        channels: Of both.
        OPERAND: Type in which is multiplied; sums are in 32 bits at least.
        PRECISION: ``ieee``, or ``tf32`` for operands of 32 bits.
    """
    own_size, other_size, own_x, other_x, _ = place
    ACC: tl.constexpr = tl.float64 if tl.float64 == OPERAND else tl.float32
    total = tl.zeros((own_x.shape[0], other_x.shape[0]), dtype=ACC)
    line = row + offset
    seen = (row >= 0) & (row < own_size[0]) & (line >= 0) & (line < other_size[0])
    own_end = tl.where(seen, own_size[1], 0)  # where a line is outside, no pixel is seen
    other_end = tl.where(seen, other_size[1], 0)
    own += row * own_size[1]
    other += line * other_size[1]
    for first in range(0, channels, DEPTH):
        channel = first + tl.arange(0, DEPTH)
        some = channel < channels
        left = own + channel[None, :] * (own_size[0] * own_size[1])
        right = other + channel[:, None] * (other_size[0] * other_size[1])
        for shift in tl.static_range(-1, 2):
            x, u = own_x + shift, other_x + shift
            mask = ((x >= 0) & (x < own_end))[:, None] & some[None, :]
            a = tl.load(left + x[:, None], mask=mask, other=0.0).to(OPERAND)
            mask = ((u >= 0) & (u < other_end))[None, :] & some[:, None]
            b = tl.load(right + u[None, :], mask=mask, other=0.0).to(OPERAND)
            total = tl.dot(a, b, total, input_precision=PRECISION, out_dtype=ACC)
    return total


@triton.jit
@no_type_check
def line_weights(
    product,
    change,
    known,
    place,
    row,
    offset,
    KEYS_OWN: tl.constexpr,
    GRADIENT: tl.constexpr,
):
    """Return the attention of a tile, or the gradient of the patches' products; outside 0.

    Args:
        product: Products of patches.
        change: Gradients of the attention, if ``GRADIENT``.
        known: Of each pixel.
        place: Sizes of both sides, pixels of both lines, the sample.
        row: Which own line.
        offset: How far below it the other line is.
        KEYS_OWN: Whether the own side are the keys, not the queries.
        GRADIENT: Which of both to return.
    """
    own_size, other_size, own_x, other_x, sample = place
    own_seen = inside(own_size, row, own_x)[:, None]
    other_seen = inside(other_size, row + offset, other_x)[None, :]
    own_at = sample * pixels(own_size) + (row * own_size[1] + own_x)[:, None]
    other_at = sample * pixels(other_size) + ((row + offset) * other_size[1] + other_x)[None, :]
    if KEYS_OWN:
        key_at, key_seen, query_at, query_seen = own_at, own_seen, other_at, other_seen
    else:
        key_at, key_seen, query_at, query_seen = other_at, other_seen, own_at, own_seen
    slope = tl.load(known.factor + key_at, mask=key_seen, other=0.0)
    score = product * slope - tl.load(known.normaliser + query_at, mask=query_seen, other=0.0)
    # the score of what is not seen has no bound: masked before the exponential, not after
    weights = tl.exp2(tl.where(own_seen & other_seen, score, float("-inf")))
    if GRADIENT:
        mean = tl.load(known.mean + query_at, mask=query_seen, other=0.0)
        weights = weights * (change - mean) * slope * LN2
    return weights
