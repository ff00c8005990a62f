"""Networks that tell restored images from clean ones, with spectral normalisation throughout."""

import math
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

_SLOPE = 0.2
_ROUNDS = 15  # of the power method before the first step, as torch's


def _conv(given: int, made: int, size: int, stride: int = 1, *, bias: bool = False) -> nn.Module:
    normalised: nn.Module = spectral_norm(nn.Conv2d(given, made, size, stride, 1, bias=bias))
    return normalised


class UNetDiscriminator(nn.Module):
    """Judge each pixel, seen at four scales (Wang et al., 2021, arXiv:2107.10833, Sec. 3.4).

    Args:
        in_channels: Of the images.
        channels: Of the finest features; 64 in the paper.
    """

    multiple_of, least = 8, 8

    def __init__(self, in_channels: int = 3, channels: int = 64) -> None:
        super().__init__()
        sizes = [channels, 2 * channels, 4 * channels, 8 * channels]
        self.head = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.down = nn.ModuleList(_conv(a, b, 4, 2) for a, b in pairwise(sizes))
        back = sizes[::-1]
        self.up = nn.ModuleList(_conv(a, b, 3) for a, b in pairwise(back))
        self.body = nn.ModuleList(_conv(channels, channels, 3) for _ in range(2))
        self.tail = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Return how clean each pixel looks; sides are multiples of 8."""
        features = [F.leaky_relu(self.head(image), _SLOPE)]
        for layer in self.down:
            features.append(F.leaky_relu(layer(features[-1]), _SLOPE))
        x = features.pop()
        for layer in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = F.leaky_relu(layer(x), _SLOPE) + features.pop()
        for layer in self.body:
            x = F.leaky_relu(layer(x), _SLOPE)
        judged: Tensor = self.tail(x)
        return judged


class PatchDiscriminator(nn.Module):
    """Judge overlapping parts of 70 pixels (Isola et al., 2017, arXiv:1611.07004, Sec. 3.2).

    Spectral normalisation (Miyato et al., 2018, arXiv:1802.05957) takes the place of batch norm,
    whose statistics would depend on how processes share a batch.

    Args:
        in_channels: Of the images.
        channels: Of the finest features; 64 in the paper.
    """

    multiple_of, least = 1, 32

    def __init__(self, in_channels: int = 3, channels: int = 64) -> None:
        super().__init__()
        sizes = [in_channels, channels, 2 * channels, 4 * channels, 8 * channels]
        steps = zip(sizes, sizes[1:], (2, 2, 2, 1), strict=False)
        layers: list[nn.Module] = []
        for given, made, stride in steps:
            layers += [_conv(given, made, 4, stride, bias=True), nn.LeakyReLU(_SLOPE)]
        self.layers = nn.Sequential(*layers, _conv(sizes[-1], 1, 4, bias=True))

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h2 w2"]:
        """Return how clean each part looks; sides are 32 pixels or more."""
        judged: Tensor = self.layers(image)
        return judged


Discriminator = UNetDiscriminator | PatchDiscriminator
KINDS: dict[str, type[Discriminator]] = {"unet": UNetDiscriminator, "patch": PatchDiscriminator}


def build(kind: str, in_channels: int, channels: int, generator: torch.Generator) -> Discriminator:
    """Return a discriminator whose initial weights are drawn from ``generator``, as torch's are."""
    network = KINDS[kind](in_channels, channels)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                _draw(module, generator)
    return network


def _draw(convolution: nn.Conv2d, generator: torch.Generator) -> None:
    normalised = is_parametrized(convolution)
    norm: Any = convolution.parametrizations["weight"] if normalised else None  # type: ignore[index]
    weight = norm.original if normalised else convolution.weight
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    if convolution.bias is not None:
        bound = 1 / math.sqrt(weight[0].numel())
        nn.init.uniform_(convolution.bias, -bound, bound, generator=generator)
    for vector in norm[0].buffers() if normalised else ():  # of the power method
        vector.copy_(F.normalize(torch.randn(vector.shape, generator=generator), dim=0))
    for _ in range(_ROUNDS if normalised else 0):
        convolution.weight  # noqa: B018  each reading is a round of the power method
