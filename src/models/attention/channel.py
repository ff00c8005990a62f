"""Gates: attention that multiplies features by factors, of a channel, a pixel, or each number."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.models.attention import ATTENTION
from src.ops.attention.contract import at_least_float32, no_autocast

_LEAST_TRACE = 1e-12  # of a constant image, whose covariance is zero


class ChannelGate(nn.Module):
    """Turn a descriptor of each channel into a factor in (0, 1): shrink, ReLU, widen, sigmoid.

    Args:
        channels: Feature channels C.
        reduction: Ratio of C to the hidden width, which is at least 1.

    Raises:
        ValueError: If ``reduction`` is below 1.
    """

    def __init__(self, channels: int, *, reduction: int) -> None:
        if reduction < 1:
            raise ValueError(f"reduction={reduction}; it divides the channels and must be >= 1.")
        hidden = max(1, channels // reduction)
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, kernel_size=1),
            nn.Sigmoid(),
        )

    def forward(self, descriptor: Float[Tensor, "b c 1 1"]) -> Float[Tensor, "b c 1 1"]:
        """Return the factors."""
        factors: Tensor = self.layers(descriptor)
        return factors


@ATTENTION.register(paper="Zhang et al., 2018, arXiv:1807.02758", cost="O(n)")
class ChannelAttention(nn.Module):
    """Multiply each channel by a factor in (0, 1) made from the means of all channels (Sec. 3.3).

    Args:
        channels: Feature channels C; any.
        reduction: Ratio of C to the hidden width of the gate, which is at least 1.
    """

    scale = 1

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        self.gate = ChannelGate(channels, reduction=reduction)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Weight the channels of ``features``, of any H, W >= 1."""
        factors: Tensor = self.gate(features.mean(dim=(2, 3), keepdim=True))
        return features * factors


@ATTENTION.register(name="second_order", paper="Dai et al., 2019, CVPR (SAN)", cost="O(n·C² + C³)")
class SecondOrderAttention(nn.Module):
    """Weight channels by factors made from the square root of their covariance matrix (Sec. 3.3).

    The covariance over the pixels is brought to its square root by Newton–Schulz iteration, which
    multiplies matrices only; the mean of each row describes the channel.

    Args:
        channels: Feature channels C; any.
        reduction: Ratio of C to the hidden width of the gate, which is at least 1.
        iterations: Newton–Schulz steps; the paper uses five.

    Raises:
        ValueError: If ``iterations`` is below 1.
    """

    scale = 1

    def __init__(self, channels: int, *, reduction: int = 16, iterations: int = 5) -> None:
        if iterations < 1:
            raise ValueError(f"iterations={iterations}; at least one step is needed.")
        super().__init__()
        self.gate = ChannelGate(channels, reduction=reduction)
        self.iterations = iterations

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Weight the channels of ``features``, of any H, W >= 1."""
        with no_autocast(features):  # the iteration does not converge in 8 bits of mantissa
            covariance = _covariance(at_least_float32(features).flatten(2))
            root = newton_schulz_root(covariance, iterations=self.iterations)
        descriptor = root.mean(dim=2)[..., None, None].to(features.dtype)
        factors: Tensor = self.gate(descriptor)
        return features * factors


def newton_schulz_root(
    matrix: Float[Tensor, "b c c"], *, iterations: int
) -> Float[Tensor, "b c c"]:
    """Return approximate square roots of positive semi-definite matrices.

    The coupled iteration Y ← Y(3I − ZY)/2, Z ← (3I − ZY)Z/2 from Y = A, Z = I converges where the
    eigenvalues lie in (0, 1]: A is divided by its trace before and the root rescaled after.
    """
    trace = matrix.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None].clamp(min=_LEAST_TRACE)
    identity = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    root, inverse = matrix / trace, identity.expand_as(matrix)
    for _ in range(iterations):
        step = 0.5 * (3 * identity - inverse @ root)
        root, inverse = root @ step, step @ inverse
    return root * trace.sqrt()


def _covariance(pixels: Float[Tensor, "b c n"]) -> Float[Tensor, "b c c"]:
    centred = pixels - pixels.mean(dim=2, keepdim=True)
    return centred @ centred.transpose(1, 2) / pixels.shape[2]


@ATTENTION.register(name="pixel", paper="Zhao et al., 2020, arXiv:2010.01073", cost="O(n)")
class PixelAttention(nn.Module):
    """Multiply each number of each pixel by its own factor in (0, 1), from a 1×1 convolution.

    From PAN, Sec. 3.2.

    Args:
        channels: Feature channels C; any.
    """

    scale = 1
    global_context = False

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Weight the pixels of ``features``, of any H, W >= 1."""
        factors: Tensor = self.gate(features).sigmoid()
        return features * factors


@ATTENTION.register(
    name="layer_channel_spatial", paper="Niu et al., 2020, arXiv:2008.08767", cost="O(n·C)"
)
class ChannelSpatialAttention(nn.Module):
    """Add to the features β times themselves, gated by a 3-D convolution over channels and space.

    The holistic attention of HAN has two parts. This is its channel-spatial module: one filter
    slides over channel, row and column together, so each number is weighted by its neighbours in
    all three. The other, the layer attention, correlates the outputs of all residual groups
    (B, N, C, H, W); a block that maps one set of features to another has no such stack, and of a
    stack of one it would leave a constant factor, so it is not here.

    Args:
        channels: Feature channels C; any, the filter is the same for all.
        kernel_size: Side of the filter in channels, rows and columns; odd.

    Raises:
        ValueError: If ``kernel_size`` is even.
    """

    scale = 1
    identity_if_zero = "beta"
    global_context = False

    def __init__(self, channels: int, *, kernel_size: int = 3) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size} is even; an odd one keeps the size.")
        super().__init__()
        self.channels = channels
        self.gate = nn.Conv3d(1, 1, kernel_size=kernel_size, padding=kernel_size // 2)
        self.beta = nn.Parameter(torch.zeros(1))  # the paper begins with the identity

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Weight ``features``, of any H, W >= 1."""
        factors: Tensor = self.gate(features[:, None])[:, 0].sigmoid()
        return features + self.beta * factors * features
