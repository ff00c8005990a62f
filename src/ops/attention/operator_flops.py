"""Floating-point operations of our own operators, for ``FlopCounterMode``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from src.ops.attention import (  # noqa: F401  they define the operators
    chunked,
    native,
    triton_form,
)

Shape = Sequence[int]


def _native_forward(
    query: Shape,
    keys: Sequence[Shape],
    values: Sequence[Shape],
    *_: Any,  # noqa: ANN401
    **__: Any,  # noqa: ANN401
) -> int:
    """Count the products of pixels that a form without unfolding cannot do without.

    What the kernel computes a second time, and its box sums, are not in it.
    """
    return 2 * _pairs(query, keys) * (query[1] + values[0][1])


def _native_backward(
    _: Shape,
    query: Shape,
    keys: Sequence[Shape],
    values: Sequence[Shape],
    *__: Any,  # noqa: ANN401
    **___: Any,  # noqa: ANN401
) -> int:
    return 2 * _pairs(query, keys) * (3 * query[1] + 2 * values[0][1])


def _chunked_forward(
    query: Shape,
    keys: Sequence[Shape],
    values: Sequence[Shape],
    _softmax_scale: float,
    _min_norm: Shape,
    scale: int,
    *_: Any,  # noqa: ANN401
    **__: Any,  # noqa: ANN401
) -> int:
    """Count both products of whole patches."""
    return 2 * _pairs(query, keys) * 9 * (query[1] + values[0][1] * scale**2)


def _chunked_backward(
    _grad_output: Shape,
    query: Shape,
    keys: Sequence[Shape],
    values: Sequence[Shape],
    _normaliser: Shape,
    _softmax_scale: float,
    _min_norm: Shape,
    scale: int,
    *_: Any,  # noqa: ANN401
    **__: Any,  # noqa: ANN401
) -> int:
    """Count scores and the weights' gradient, both twice, and the three gradients."""
    return 2 * _pairs(query, keys) * 9 * (4 * query[1] + 3 * values[0][1] * scale**2)


def _pairs(query: Shape, keys: Sequence[Shape]) -> int:
    batch, _, height, width = query
    return batch * height * width * sum(key[2] * key[3] for key in keys)


FLOPS: Mapping[Any, Callable[..., int]] = {
    torch.ops.exemplar.patch_attention: _native_forward,
    torch.ops.exemplar.patch_attention_backward: _native_backward,
    torch.ops.exemplar.triton_patch_attention: _native_forward,
    torch.ops.exemplar.triton_patch_attention_backward: _native_backward,
    torch.ops.exemplar.chunked_patch_attention: _chunked_forward,
    torch.ops.exemplar.chunked_patch_attention_backward: _chunked_backward,
}
"""From the shapes of an operator's arguments to the operations of its products."""
