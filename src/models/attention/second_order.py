"""Second-order channel attention of SAN (Dai et al., 2019, CVPR, Sec. 3.3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.models.attention import ATTENTION
from src.models.attention.channel import ChannelGate
from src.ops.attention.contract import at_least_float32, no_autocast

_LEAST_TRACE = 1e-12  # of a constant image, whose covariance is zero


@ATTENTION.register(paper="Dai et al., 2019, CVPR (SAN)", cost="O(n·C² + C³)")
class SecondOrderAttention(nn.Module):
    """Weight channels by factors made from the square root of their covariance matrix.

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
