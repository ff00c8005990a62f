"""Patch attention by Triton kernels for GPUs, as a PyTorch operator with its own backward.

As in the C++ kernel, the dot product of two patches is a box sum along the diagonals of dot
products of pixels, and the scores are never in memory, forward or backward.
"""

import importlib.util
import os
from collections.abc import Sequence

import torch
from torch import Tensor

from src.ops.attention.contract import accumulator, differentiate_by


def refusal(query: Tensor) -> str | None:
    """Return why the kernels cannot be had for tensors like ``query``, and what to do; or None."""
    if importlib.util.find_spec("triton") is None:
        return (
            "Triton is not installed. PyTorch's builds for GPUs bring it along "
            "(make install TORCH=cu126), for others there is pip install 'exemplar[triton]'; "
            "or use implementation=auto."
        )
    if query.device.type == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        return (
            "its kernels are for GPUs, and the features are on the CPU; use implementation=auto. "
            "With TRITON_INTERPRET=1 in the environment Triton's interpreter runs them on the CPU, "
            "many thousand times slower: to check them."
        )
    return None


@torch.library.custom_op("exemplar::triton_patch_attention", mutates_args=())
def triton_patch_attention(
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    softmax_scale: float,
    min_norm: Tensor,
) -> tuple[Tensor, Tensor]:
    """Attend and paste, in any type, with sums in 32 bits; overlaps are summed, not divided.

    Arguments are those of ``dense_patch_attention`` at s = 1.

    Returns:
        (B, C, H, W), and of each query, (B, 1, H, W), the logarithm to base 2 of the denominator of
        its softmax.
    """
    from src.ops.attention.triton_launch import attend

    keys, values = [key.contiguous() for key in keys], [value.contiguous() for value in values]
    return attend(query.contiguous(), keys, values, softmax_scale, min_norm)


@triton_patch_attention.register_fake
def _(
    query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], *__: object
) -> tuple[Tensor, Tensor]:
    batch, _, height, width = query.shape
    output = values[0].new_empty(batch, values[0].shape[1], height, width)
    return output, query.new_empty(batch, 1, height, width, dtype=accumulator(query))


@torch.library.custom_op("exemplar::triton_patch_attention_backward", mutates_args=())
def _backward(
    grad_output: Tensor,
    query: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    normaliser: Tensor,
    softmax_scale: float,
    min_norm: Tensor,
) -> list[Tensor]:
    """Return the gradients of query, all keys and all values, in this order."""
    from src.ops.attention.triton_launch import differentiate

    keys, values = [key.contiguous() for key in keys], [value.contiguous() for value in values]
    grad_output, query = grad_output.contiguous(), query.contiguous()
    return differentiate(grad_output, query, keys, values, normaliser, softmax_scale, min_norm)


differentiate_by(triton_patch_attention, _backward)
