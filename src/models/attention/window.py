"""Attention in shifted windows (Liu et al., 2021, arXiv:2103.14030, Sec. 3.2)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.models.attention import ATTENTION
from src.models.blocks.parts import ChannelNorm, heads_for


@ATTENTION.register(paper="Liu et al., 2021, arXiv:2103.14030", cost="O(n·M²), M = window")
class WindowAttention(nn.Module):
    """Attend within windows of M×M pixels with a bias for each offset (Eq. 4); add the result.

    The windows tile the features from the top left, or from half a window further if ``shifted``;
    they wrap around, and pixels that are neighbours only by that do not see one another. Sizes
    that are no multiple are padded inside, and no pixel sees the padding.

    Args:
        channels: Feature channels C; any.
        window: Side M of a window in pixels; SwinIR's 8 (arXiv:2108.10257, Sec. 4.1).
        head_channels: Wanted channels of a head; 30 gives SwinIR's 6 heads of 180 channels. The
            nearest number of heads that divides C is taken.
        shifted: Whether the windows start half a window further; networks alternate.

    Raises:
        ValueError: If ``window`` is below 2.
    """

    scale = 1
    identity_if_zero = "project"
    global_context = False
    offsets: Tensor

    def __init__(
        self, channels: int, *, window: int = 8, head_channels: int = 30, shifted: bool = False
    ) -> None:
        if window < 2:
            raise ValueError(f"window={window}; a window has at least 2 pixels a side.")
        super().__init__()
        self.window, self.shifted = window, shifted
        self.pads_to = window
        self.heads = heads_for(channels, head_channels)
        self.norm = ChannelNorm(channels)
        self.embed = nn.Linear(channels, 3 * channels)
        self.position_bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, self.heads))
        self.project = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.position_bias, std=0.02)
        self.register_buffer("offsets", _offsets(window), persistent=False)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Attend within the windows of ``features``, of any H, W >= 1."""
        side = self.window
        height, width = features.shape[-2:]
        padded = F.pad(self.norm(features), (0, -width % side, 0, -height % side))
        rows, columns = padded.shape[-2:]
        # One window along an axis is not shifted: it would only lose neighbours.
        half = side // 2 if self.shifted else 0
        shift = (half * (rows > side), half * (columns > side))
        regions = _regions(height, width, rows, columns, shift, features.device)
        region = _windows(_roll(regions[None, None], shift, sign=-1), side)[..., 0]  # (1, m, n)
        pixels = _windows(_roll(padded, shift, sign=-1), side)  # (b, m, n, c)
        attended = self._attend(pixels, region)
        restored = _roll(_join(attended, rows, columns, side), shift, sign=1)
        return features + restored[..., :height, :width]

    def _attend(
        self, pixels: Float[Tensor, "b m n c"], region: Int[Tensor, "1 m n"]
    ) -> Float[Tensor, "b m n c"]:
        embedded: Tensor = self.embed(pixels)
        heads = torch.unflatten(embedded, -1, (3, self.heads, -1))  # (b, m, n, 3, heads, d)
        query, key, value = heads.permute(3, 0, 1, 4, 2, 5).unbind(0)
        bias = self.position_bias[self.offsets].permute(2, 0, 1)  # (heads, n, n)
        apart = region[..., :, None] != region[..., None, :]
        scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5 + bias
        scores = scores.masked_fill(apart[:, :, None], -torch.inf)
        attended = scores.softmax(dim=-1).to(value.dtype) @ value  # (b, m, heads, n, d)
        projected: Tensor = self.project(attended.transpose(2, 3).flatten(-2))
        return projected


def _offsets(side: int) -> Int[Tensor, "n n"]:
    """Return for each pair of pixels of a window the index of its (row, column) offset."""
    position = torch.arange(side)
    offset = position[:, None] - position + side - 1  # (side, side), from 0 to 2·side − 2
    index = offset[:, None, :, None] * (2 * side - 1) + offset[None, :, None, :]
    return index.reshape(side**2, side**2)


def _regions(
    height: int, width: int, rows: int, columns: int, shift: tuple[int, int], device: torch.device
) -> Int[Tensor, "rows columns"]:
    """Number the pixels so that those of one window see each other where numbers are equal.

    Rows and columns before the shift share their windows with the opposite border; padding is
    a region of its own.
    """
    row = torch.arange(rows, device=device)[:, None]
    column = torch.arange(columns, device=device)
    regions = 2 * (row < shift[0]).long() + (column < shift[1]).long()
    return regions.masked_fill((row >= height) | (column >= width), 4)


def _roll(features: Tensor, shift: tuple[int, int], *, sign: int) -> Tensor:
    return features.roll((sign * shift[0], sign * shift[1]), dims=(-2, -1))


def _windows(features: Tensor, side: int) -> Tensor:
    """Cut (B, C, H, W) into (B, H·W / side², side², C)."""
    batch, channels, height, width = features.shape
    cut = features.reshape(batch, channels, height // side, side, width // side, side)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, side**2, channels)


def _join(windows: Tensor, rows: int, columns: int, side: int) -> Tensor:
    """Undo ``_windows``."""
    batch, _, _, channels = windows.shape
    cut = windows.reshape(batch, rows // side, columns // side, side, side, channels)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, rows, columns)
