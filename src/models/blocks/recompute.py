"""Activation checkpointing: less memory in training for about a third more time."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute_blocks(net: nn.Module) -> None:
    """Let training keep only the input of each block of ``net`` and compute the rest again.

    Chen et al., 2016, arXiv:1604.06174. The blocks are the parts of the network's sequences that
    have parts of their own: residual blocks, groups of them, transformer blocks, attention sites.
    Gradients, names of weights, and everything outside training stay as they are.

    Raises:
        ValueError: If there is no such block.
    """
    blocks = [block for block in blocks_of(net) if not _has_batch_norm(block)]
    if not blocks:
        raise ValueError(
            f"{type(net).__name__} has no blocks that could be computed again (batch norm would "
            "count each batch twice); leave recompute=false, or lower data.batch_size."
        )
    for block in blocks:
        block.forward = partial(_recomputed, block.forward)


def blocks_of(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the outermost blocks of the sequences below ``module``; see ``recompute_blocks``."""
    in_sequence = isinstance(module, nn.Sequential | nn.ModuleList)
    for child in module.children():
        sequence = isinstance(child, nn.Sequential | nn.ModuleList)
        if in_sequence and not sequence and any(True for _ in child.children()):
            yield child
        else:
            yield from blocks_of(child)


def _has_batch_norm(block: nn.Module) -> bool:
    return any(isinstance(module, _BatchNorm) for module in block.modules())


def _recomputed(forward: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return forward(*inputs)
    result: Tensor = checkpoint(forward, *inputs, use_reentrant=False)
    return result
