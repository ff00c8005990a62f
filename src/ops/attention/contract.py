"""What all forms of patch attention share: 3×3 patches are matched, and 3s×3s patches are pasted.

At s = 1 pyramid attention (Mei et al., 2020, arXiv:2004.13824, Sec. 3), at s > 1 cross-scale
attention (Mei et al., 2020, arXiv:2006.01424); the arithmetic is that of the authors'
implementations. Sums are in 32 bits at least, whatever the type of the features.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

KERNEL = 3
OVERLAP = 4.0  # the authors' constant; interior pixels receive nine overlapping patches


def window_side(size: int, level: int, window: int) -> int:
    """Return how many of ``level`` keys along an axis a query of ``size`` sees in a window.

    ``window`` counts pixels of the query; the window of a smaller level is smaller in proportion.
    """
    return min(level, -(-window * level // size))


def window_of(at: int, size: int, level: int, window: int) -> slice:
    """Return the keys along an axis that query ``at`` of ``size`` sees, of ``level`` there are.

    They lie around the query's own place and are moved inwards at the border.
    """
    side = window_side(size, level, window)
    # The pixel of the level at the query's centre, in whole numbers.
    first = min(max((2 * at + 1) * level // (2 * size) - side // 2, 0), level - side)
    return slice(first, first + side)


def windows_of(window: int | Sequence[int], levels: int) -> tuple[int, ...]:
    """Return one window a level.

    Raises:
        ValueError: If a window has no pixel, or there are not as many as levels.
    """
    windows = (window,) * levels if isinstance(window, int) else tuple(window)
    if len(windows) != levels or min(windows) < 1:
        raise ValueError(
            f"window={window}: a search window has at least 1 pixel a side; give one number, or "
            f"one for each of the {levels} levels."
        )
    return windows


def unfold_patches(features: Float[Tensor, "b c h w"], scale: int = 1) -> Float[Tensor, "b d n"]:
    """Return zero-padded 3s×3s patches at stride s, channel-major, then row by row.

    Returns:
        (B, 9·s²·C, H·W/s²): one patch around each cell of s×s pixels; H and W divide by s.
    """
    return F.unfold(features, KERNEL * scale, padding=scale, stride=scale)


def paste_patches(
    patches: Float[Tensor, "b d n"],
    height: int,
    width: int,
    *,
    scale: int = 1,
    overlap: float = OVERLAP,
) -> Float[Tensor, "b c h2 w2"]:
    """Sum overlapping 3s×3s patches, one a pixel of (H, W), into (s·H, s·W); divide by overlap."""
    size = (height * scale, width * scale)
    return F.fold(patches, size, KERNEL * scale, padding=scale, stride=scale) / overlap


def normalise_patches(
    patches: Float[Tensor, "b d n"], min_norm: float | Tensor
) -> Float[Tensor, "b d n"]:
    """Divide each patch by its Euclidean norm, or by ``min_norm`` where that is larger."""
    norm = at_least_float32(patches).norm(dim=1, keepdim=True)
    return patches / torch.clamp(norm, min=min_norm).to(patches.dtype)


def patch_norms(
    features: Float[Tensor, "b c h w"], min_norm: Tensor, *, padding: int = 0
) -> Float[Tensor, "b 1 h2 w2"]:
    """Return the norm of the 3×3 patch around each pixel, or ``min_norm`` where that is larger."""
    square = features.square().sum(dim=1, keepdim=True)
    square = F.avg_pool2d(square, KERNEL, stride=1, padding=padding, divisor_override=1)
    # max before the root: its derivative at 0 is infinite, and that of what is clamped is 0
    return square.clamp(min=min_norm.square()).sqrt()


def accumulator(tensor: Tensor) -> torch.dtype:
    """Return the type in which sums are kept: at least 32 bits."""
    return torch.promote_types(tensor.dtype, torch.float32)


def at_least_float32(features: Tensor) -> Tensor:
    """Return ``features`` in 32 bits, or as they are if wider."""
    return features.to(accumulator(features))


def no_autocast(features: Tensor) -> AbstractContextManager[object]:
    """Return a context without autocast on the device of ``features``; cast inputs yourself.

    Where autocast is off already it does nothing, so that a traced program has no trace of it.
    """
    kind = features.device.type
    if torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()


def differentiate_by(operator: Any, backward: Any) -> None:  # noqa: ANN401  custom operators
    """Make ``backward`` the derivative of ``operator``, and say of which shapes its results are.

    Args:
        operator: Takes query, keys, values, softmax_scale, min_norm and other numbers; returns a
            result, and what else ``backward`` wants to know, which has no gradient.
        backward: Takes the result's gradient, query, keys, values, the rest of what ``operator``
            returned, softmax_scale, min_norm and the other numbers; returns the gradients of
            query, all keys and all values, in this order.
    """

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ANN401
        query, keys, values, ctx.softmax_scale, min_norm, *ctx.others = inputs
        ctx.levels = len(keys)
        ctx.save_for_backward(query, min_norm, *keys, *values, *output[1:])

    def differentiate(ctx: Any, grad: Tensor, *_: Tensor | None) -> tuple[Any, ...]:  # noqa: ANN401
        levels: int = ctx.levels
        query, min_norm, *rest = ctx.saved_tensors
        keys, values, known = rest[:levels], rest[levels : 2 * levels], rest[2 * levels :]
        scale, others = ctx.softmax_scale, ctx.others
        first, *rest = backward(grad, query, keys, values, *known, scale, min_norm, *others)
        return first, rest[:levels], rest[levels:], None, None, *(None for _ in others)

    def shapes(_: Tensor, query: Tensor, keys: Any, values: Any, *__: object) -> list[Tensor]:  # noqa: ANN401
        return [torch.empty_like(leaf.contiguous()) for leaf in (query, *keys, *values)]

    backward.register_fake(shapes)
    operator.register_autograd(differentiate, setup_context=keep)
