"""Transposed attention of Restormer (Zamir et al., 2022, arXiv:2111.09881, Sec. 3.1)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.models.attention import ATTENTION
from src.models.blocks.parts import ChannelNorm, heads_for
from src.ops.attention.contract import at_least_float32, no_autocast


@ATTENTION.register(paper="Zamir et al., 2022, arXiv:2111.09881", cost="O(n·C²)")
class TransposedAttention(nn.Module):
    """Attend from channel to channel instead of from pixel to pixel, and add the result (Eq. 1).

    Queries, keys and values come from a 1×1 and a depthwise 3×3 convolution of the normalised
    features. The C×C scores of a head are cosines over all pixels times a learned temperature.

    Args:
        channels: Feature channels C; any.
        head_channels: Wanted channels of a head; 48 gives the paper's 1, 2, 4, 8 heads at its
            widths. The nearest number of heads that divides C is taken.
        centred: Whether the normalisation subtracts the mean and adds a bias.
    """

    scale = 1
    identity_if_zero = "project"

    def __init__(self, channels: int, *, head_channels: int = 48, centred: bool = True) -> None:
        super().__init__()
        self.head_channels = head_channels
        self.heads = heads_for(channels, head_channels)
        self.norm = ChannelNorm(channels, centred=centred)
        self.temperature = nn.Parameter(torch.ones(self.heads, 1, 1))
        self.embed = nn.Sequential(
            nn.Conv2d(channels, 3 * channels, kernel_size=1, bias=False),
            nn.Conv2d(
                3 * channels,
                3 * channels,
                kernel_size=3,
                padding=1,
                groups=3 * channels,
                bias=False,
            ),
        )
        self.project = nn.Conv2d(channels, channels, kernel_size=1, bias=False)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Attend over the channels of ``features``, of any H, W >= 1."""
        embedded: Tensor = self.embed(self.norm(features))
        # (b, 3, heads, channels of a head, pixels)
        heads = torch.unflatten(embedded.flatten(2), 1, (3, self.heads, -1))
        query, key, value = heads.unbind(dim=1)
        with no_autocast(features):  # the cosines are sums over all pixels
            query = F.normalize(at_least_float32(query), dim=-1)
            key = F.normalize(at_least_float32(key), dim=-1)
            scores = query @ key.transpose(-2, -1) * self.temperature
        attended = scores.softmax(dim=-1).to(value.dtype) @ value
        projected: Tensor = self.project(attended.reshape(features.shape))
        return features + projected

    def regroup_as(self, channels: int) -> None:
        """Take the number of heads that a block of ``channels`` has, if it divides the channels.

        Restormer's decoder keeps the heads of C channels at 2C. The temperature begins anew.
        """
        heads = heads_for(channels, self.head_channels)
        if self.norm.weight.numel() % heads == 0:
            self.heads = heads
            self.temperature = nn.Parameter(self.temperature.new_ones(heads, 1, 1))
