"""Leaves for tests of patch attention, and the dense form in double precision to compare with."""

import torch
from torch import Tensor

from src.ops.attention.dense import dense_patch_attention
from src.ops.attention.patch_attention import patch_attention

MIN_NORM = torch.tensor([1e-4])


def inputs(
    size: tuple[int, int],
    *,
    batch: int = 1,
    match: int = 5,
    channels: int = 7,
    scale: int = 1,
    levels: int = 1,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
) -> list[Tensor]:
    """Return query, all keys and all values: the same numbers on each device."""
    generator = torch.Generator().manual_seed(size[0] * 100 + size[1])

    def draw(planes: int, height: int, width: int) -> Tensor:
        numbers = torch.randn(batch, planes, height, width, generator=generator)
        return (0.5 * numbers).to(device, dtype).requires_grad_()

    height, width = size
    sizes = [size, (max(1, height - 1), max(1, width // 2)), (1, 2)][:levels]
    keys = [draw(match, *level) for level in sizes]
    values = [draw(channels, h * scale, w * scale) for h, w in sizes]
    return [draw(match, height, width), *keys, *values]


def attend(leaves: list[Tensor], *, implementation: str, scale: int = 1) -> Tensor:
    """Return the attention of ``leaves`` by one implementation."""
    levels = len(leaves) // 2
    return patch_attention(
        leaves[0],
        leaves[1 : 1 + levels],
        leaves[1 + levels :],
        min_norm=MIN_NORM.to(leaves[0]),
        scale=scale,
        implementation=implementation,  # type: ignore[arg-type]
    )


def exact(leaves: list[Tensor], *, scale: int = 1) -> Tensor:
    """Return it by the dense form, in double precision."""
    levels = len(leaves) // 2
    wide = [leaf.double() for leaf in leaves]
    keys, values = wide[1 : 1 + levels], wide[1 + levels :]
    return dense_patch_attention(wide[0], keys, values, scale=scale)
