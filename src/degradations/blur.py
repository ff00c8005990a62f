"""Blur by a kernel drawn for each image: Gaussians of several shapes, sinc, motion, defocus.

Kernels of shapes that kornia has are kornia's, as is the filter; the others are ours. Shapes and
numbers are those of Real-ESRGAN (Wang et al., 2021, arXiv:2107.10833, Sec. 3.1 and 3.3).
"""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from kornia.filters import filter2d, get_gaussian_kernel2d, get_motion_kernel2d
from torch import Tensor, nn

from src.degradations.drawn import check_range, check_weights, choose, uniform, whole

SHAPES = (
    "isotropic", "anisotropic", "generalised", "generalised_anisotropic", "plateau",
    "plateau_anisotropic", "sinc", "motion", "defocus",
)  # fmt: skip
_REAL_ESRGAN = {
    "isotropic": 0.405, "anisotropic": 0.225, "generalised": 0.108,
    "generalised_anisotropic": 0.027, "plateau": 0.108, "plateau_anisotropic": 0.027, "sinc": 0.1,
}  # fmt: skip


class Blur(nn.Module):
    """Blur by one kernel an image; pixels beyond the border are those at it.

    Args:
        shapes: Weights of the kernels' shapes; None is as in Real-ESRGAN.
        size: (low, high) side of the kernel in pixels; odd sides are drawn.
        sigma: (low, high) standard deviation of Gaussians along an axis, in pixels.
        beta_generalised: (low, high) exponent of generalised Gaussians; 1 is a Gaussian.
        beta_plateau: (low, high) exponent of plateaus.
        radius: (low, high) of the disk that defocus makes of a point, in pixels.

    Raises:
        ValueError: If a shape is unknown, or a range is none.
    """

    def __init__(
        self,
        shapes: Mapping[str, float] | None = None,
        *,
        size: Sequence[int] = (7, 21),
        sigma: Sequence[float] = (0.2, 3.0),
        beta_generalised: Sequence[float] = (0.5, 4.0),
        beta_plateau: Sequence[float] = (1.0, 2.0),
        radius: Sequence[float] = (1.0, 4.0),
    ) -> None:
        super().__init__()
        self.shapes = check_weights("shapes", shapes or _REAL_ESRGAN, SHAPES)
        low, high = check_range("size", size, least=3)
        self.sizes = (math.ceil((low - 1) / 2), (int(high) - 1) // 2)  # on each side of the middle
        if self.sizes[0] > self.sizes[1]:
            raise ValueError(f"size={list(size)} has no odd number of 3 or more between its ends.")
        self.sigma = check_range("sigma", sigma, least=0.01)
        self.beta_generalised = check_range("beta_generalised", beta_generalised, least=0.1)
        self.beta_plateau = check_range("beta_plateau", beta_plateau, least=0.1)
        self.radius = check_range("radius", radius, least=0.1)

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Map images in [0, 1], all with the kernel that is drawn."""
        kernel = self.kernel(generator).to(clean)
        blurred: Tensor = filter2d(clean, kernel[None], border_type="replicate")
        return blurred

    def kernel(self, generator: torch.Generator | None = None) -> Float[Tensor, "k k"]:
        """Return a kernel that is drawn; its sum is 1."""
        shape = choose(generator, self.shapes, "shape")
        side = 2 * whole(generator, self.sizes, "half_side") + 1
        if shape == "sinc":
            # Real-ESRGAN: the smaller the kernel, the higher its lowest frequency.
            lowest = math.pi / 3 if side < 13 else math.pi / 5
            kernel = sinc(side, uniform(generator, (lowest, math.pi), "cutoff"))
        elif shape == "motion":
            angle = uniform(generator, (0.0, 180.0), "angle")
            direction = uniform(generator, (-1.0, 1.0), "direction")
            kernel = get_motion_kernel2d(side, angle, direction)[0]
        elif shape == "defocus":
            kernel = disk(side, uniform(generator, self.radius, "radius"))
        else:
            kernel = self._gaussian(shape, side, generator)
        normalised: Tensor = kernel / kernel.sum()
        return normalised

    def _gaussian(self, shape: str, side: int, generator: torch.Generator | None) -> Tensor:
        sigma = uniform(generator, self.sigma, "sigma")
        if shape == "isotropic":
            kernel: Tensor = get_gaussian_kernel2d((side, side), (sigma, sigma))[0]
            return kernel
        other, angle = sigma, 0.0
        if shape.endswith("anisotropic"):
            other = uniform(generator, self.sigma, "sigma_across")
            angle = uniform(generator, (-math.pi, math.pi), "angle")
        distance = mahalanobis(side, sigma, other, angle)
        if shape.startswith("generalised"):
            return torch.exp(-0.5 * distance ** self._beta(generator, self.beta_generalised))
        if shape.startswith("plateau"):
            return 1 / (1 + distance ** self._beta(generator, self.beta_plateau))
        return torch.exp(-0.5 * distance)

    @staticmethod
    def _beta(generator: torch.Generator | None, between: tuple[float, float]) -> float:
        """Return an exponent, below 1 as often as above, where both are possible."""
        low, high = between
        if low < 1 < high:
            below = choose(generator, {"yes": 1.0, "no": 1.0}, "beta_below_1") == "yes"
            between = (low, 1.0) if below else (1.0, high)
        return uniform(generator, between, "beta")


def grid(side: int) -> tuple[Float[Tensor, "k 1"], Float[Tensor, " k"]]:
    """Return rows and columns of a kernel's pixels, counted from its middle."""
    offsets = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
    return offsets[:, None], offsets


def mahalanobis(side: int, sigma: float, across: float, angle: float) -> Float[Tensor, "k k"]:
    """Return the squared distance from the middle in standard deviations along turned axes."""
    y, x = grid(side)
    along = x * math.cos(angle) + y * math.sin(angle)
    beside = y * math.cos(angle) - x * math.sin(angle)
    return (along / sigma) ** 2 + (beside / across) ** 2


def sinc(side: int, cutoff: float) -> Float[Tensor, "k k"]:
    """Return a circular low-pass filter, which rings (arXiv:2107.10833, Eq. 6).

    Args:
        side: Of the kernel, in pixels.
        cutoff: The highest frequency that passes, in radians a pixel.
    """
    y, x = grid(side)
    r = torch.sqrt(x**2 + y**2)
    kernel: Tensor = cutoff * torch.special.bessel_j1(cutoff * r) / (2 * math.pi * r)
    kernel[side // 2, side // 2] = cutoff**2 / (4 * math.pi)
    return kernel


def disk(side: int, radius: float) -> Float[Tensor, "k k"]:
    """Return a disk whose edge falls off over one pixel."""
    y, x = grid(side)
    edge: Tensor = radius + 0.5 - torch.sqrt(x**2 + y**2)
    return edge.clamp(0, 1)
