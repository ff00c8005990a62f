"""How operators for patch attention that recompute the attention are differentiated."""

from collections.abc import Callable
from typing import Any

from torch import Tensor


def differentiate_by(operator: Any, backward: Callable[..., list[Tensor]]) -> None:  # noqa: ANN401
    """Make ``backward`` the derivative of ``operator``.

    Args:
        operator: Takes query, keys, values, softmax_scale and min_norm; returns a result, and what
            else ``backward`` wants to know, which has no gradient.
        backward: Takes the result's gradient, query, keys, values, the rest of what ``operator``
            returned, softmax_scale and min_norm; returns the gradients of query, all keys and all
            values, in this order.
    """

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ANN401
        query, keys, values, ctx.softmax_scale, min_norm = inputs
        ctx.levels = len(keys)
        ctx.save_for_backward(query, min_norm, *keys, *values, *output[1:])

    def differentiate(ctx: Any, grad: Tensor, *_: Tensor | None) -> tuple[Any, ...]:  # noqa: ANN401
        levels: int = ctx.levels
        query, min_norm, *rest = ctx.saved_tensors
        keys, values, known = rest[:levels], rest[levels : 2 * levels], rest[2 * levels :]
        found = backward(grad, query, keys, values, *known, ctx.softmax_scale, min_norm)
        return found[0], found[1 : 1 + levels], found[1 + levels :], None, None

    operator.register_autograd(differentiate, setup_context=keep)
