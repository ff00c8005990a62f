"""The body of a network: blocks in a row, with attention blocks of any kind between them.

Training may keep only what goes into each block and compute the rest again: less memory for about a
third more time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from src.core.types import AttentionFactory


class AttentionSite(nn.Module):
    """An attention block, brought back to the trunk's size and joined with the features.

    Args:
        block: Maps (B, C, H, W) to (B, C, s·H, s·W); its attribute ``scale`` is s.
        channels: Feature channels C.
        identity: Whether the features are added to the result.
    """

    scale = 1
    keeps_identity = True

    def __init__(self, block: nn.Module, channels: int, *, identity: bool) -> None:
        super().__init__()
        self.block = block
        self.identity = identity
        self.global_context = any_global([block])
        scale = int(getattr(block, "scale", 1))
        self.shrink = (
            nn.Conv2d(channels, channels, kernel_size=scale, stride=scale)
            if scale > 1
            else nn.Identity()
        )
        inner = getattr(block, "nothing_if_zero", None)
        silent = "shrink" if scale > 1 else inner and f"block.{inner}"
        self.identity_if_zero = silent if identity else None

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return what the block makes of ``features``, at their size."""
        attended: Tensor = self.shrink(self.block(features))
        return features + attended if self.identity else attended


def attention_site(
    attention: AttentionFactory, channels: int, *, identity: bool = True
) -> nn.Module:
    """Build an attention block so that it maps (B, C, H, W) to the same shape.

    A block that enlarges (``scale`` > 1) is followed by a strided convolution back to the trunk's
    size, as CSNLN goes back to its state (arXiv:2006.01424). Where ``identity`` is wanted and the
    block has none of its own (``keeps_identity = False``), the features are added, or what the
    trunk has worked out so far would be lost.

    Args:
        attention: Builds the block from ``channels``.
        channels: Feature channels C.
        identity: Whether the site must pass the features on beside what the block makes of them.

    Returns:
        The block itself wherever it fits as it is, so that its tensors keep their names.
    """
    block = attention(channels)
    missing = identity and not getattr(block, "keeps_identity", True)
    if int(getattr(block, "scale", 1)) == 1 and not missing:
        return block
    return AttentionSite(block, channels, identity=missing)


def any_global(modules: Iterable[nn.Module]) -> bool:
    """Return whether a pixel may depend on all others through one of these attention sites.

    A block whose reach is bounded has ``global_context = False``.
    """
    return any(bool(getattr(module, "global_context", True)) for module in modules)


def interleaved(
    blocks: Iterable[nn.Module],
    count: int,
    attention: AttentionFactory,
    channels: int,
    sites: Sequence[int] | None,
) -> tuple[nn.Sequential, list[nn.Module]]:
    """Return the blocks in a row with attention between them, and the attention sites alone.

    Args:
        blocks: ``count`` blocks, each from (B, C, H, W) to the same shape; a generator makes each
            when its turn comes, which decides the order of random weights.
        count: How many blocks there are.
        attention: Builds an attention block from ``channels``; each site has its own weights.
        channels: Feature channels C.
        sites: After how many blocks an attention block stands, once for each entry: 0 is before
            the first, ``count`` after the last. None is one, in the middle.

    Raises:
        ValueError: If a site is out of range.
    """
    chosen = [count // 2] if sites is None else list(sites)
    wrong = [site for site in chosen if not 0 <= site <= count]
    if wrong:
        raise ValueError(
            f"attention_sites={chosen}: {wrong[0]} is out of range; a site is a number of blocks "
            f"that come before it, 0 to {count}."
        )
    row: list[nn.Module] = []
    attended: list[nn.Module] = []
    rest = iter(blocks)
    for done in range(count + 1):
        here = [attention_site(attention, channels) for _ in range(chosen.count(done))]
        attended += here
        row += [*here, *([next(rest)] if done < count else [])]
    return nn.Sequential(*row), attended


def residual_trunk(
    blocks: Iterable[nn.Module],
    count: int,
    attention: AttentionFactory,
    channels: int,
    sites: Sequence[int] | None,
) -> tuple[nn.Sequential, list[nn.Module]]:
    """Do as :func:`interleaved`, with a last 3×3 convolution: the body of EDSR, PANet and PA-EDSR.

    Without ``sites`` attention stands in the middle, where Mei et al. (2020, arXiv:2004.13824) put
    their only one; their best ablation has three, at 0, in the middle and after the last block.

    Raises:
        ValueError: If a site is out of range, or there is no middle.
    """
    if sites is None and count % 2:
        raise ValueError(
            f"blocks={count} is odd and has no middle for the attention; "
            f"make it even or give attention_sites=[{count // 2}]."
        )
    row, attended = interleaved(blocks, count, attention, channels, sites)
    return row.append(nn.Conv2d(channels, channels, kernel_size=3, padding=1)), attended


def per_level(blocks: Sequence[int] | int, levels: int) -> list[int]:
    """Return the number of blocks in each level of a U-shaped network; a single one is for all.

    Raises:
        ValueError: If there are not ``levels`` numbers, or one is negative.
    """
    numbers = [blocks] * levels if isinstance(blocks, int) else list(blocks)
    if len(numbers) != levels or min(numbers, default=0) < 0:
        raise ValueError(
            f"blocks={numbers}: {levels} levels need {levels} numbers of blocks, each >= 0, or "
            "one number for all."
        )
    return numbers


def check_image_skip(name: str, in_channels: int, out_channels: int) -> None:
    """Raise ValueError unless input and output have as many image channels, and can be added."""
    if in_channels != out_channels:
        raise ValueError(
            f"{name} adds its input to its output, so {in_channels} image channels cannot become "
            f"{out_channels}; give it an input of {out_channels} channels, or choose another model."
        )


def he_init(net: nn.Module) -> None:
    """Draw the weights of all 2-D convolutions from N(0, 2 / fan-in); biases become zero.

    For stacks of convolutions and ReLU (He et al., 2015, arXiv:1502.01852). PyTorch's own rule has
    a sixth of this variance: after twenty layers nothing is left.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


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
