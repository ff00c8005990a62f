"""Sizes of images: bicubic resizing by MATLAB's rules, cropping, and padding to multiples.

The test images of super-resolution rest on MATLAB's rules.
The interpolation kernel is that of Keys, 1981 (doi:10.1109/TASSP.1981.1163711), a = -0.5. Where an
image shrinks, the kernel is stretched by the same factor, which filters out what would alias.
"""

import math
from functools import lru_cache
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

Border = Literal["replicate", "mirror"]
BORDERS: tuple[Border, ...] = get_args(Border)

Size = tuple[int | torch.SymInt, int | torch.SymInt]
"""Height and width; while a network is traced for all sizes they are no numbers yet."""

_A = -0.5
_SUPPORT = 4  # input pixels under the kernel that is not stretched


def mod_crop(image: Float[Tensor, "*b h w"], scale: int) -> Float[Tensor, "*b h2 w2"]:
    """Cut the bottom and right edges until H and W are multiples of ``scale``.

    Raises:
        ValueError: If nothing would be left.
    """
    height, width = image.shape[-2:]
    if min(height, width) < scale:
        raise ValueError(f"{width}×{height} px is too small for scale {scale}; leave it out.")
    return image[..., : height - height % scale, : width - width % scale]


def target_size(input_size: int, scale: int) -> int:
    """Return the side of the target that belongs to an input of side ``input_size``, in pixels."""
    return input_size * scale


def downscale(
    image: Float[Tensor, "b c h w"], scale: int, *, clip8: bool = True, border: Border = "replicate"
) -> Float[Tensor, "b c h2 w2"]:
    """Return the image in [0, 1] at H/scale × W/scale, with anti-aliasing.

    Args:
        image: H and W are multiples of ``scale``, see :func:`mod_crop`.
        scale: By how much each side shrinks.
        clip8: As MATLAB does with uint8 images: the result of the vertical pass is rounded and
            clipped to 8 bits, then that of the horizontal one. False rounds nothing.
        border: What lies beyond the border, see :func:`resize`.

    Raises:
        ValueError: If a side is no multiple of ``scale``.
    """
    height, width = image.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"{width}×{height} px is no multiple of scale {scale}; use mod_crop.")
    return resize(image, (height // scale, width // scale), clip8=clip8, border=border)


def upscale(image: Float[Tensor, "b c h w"], scale: int) -> Float[Tensor, "b c h2 w2"]:
    """Return the image at scale·H × scale·W, neither rounded nor clipped."""
    height, width = image.shape[-2:]
    return resize(image, (height * scale, width * scale))


def resize(
    image: Float[Tensor, "b c h w"],
    size: tuple[int, int],
    *,
    clip8: bool = False,
    border: Border = "replicate",
) -> Float[Tensor, "b c h2 w2"]:
    """Return the image at ``size`` (height, width), as ``imresize(…, 'bicubic')`` does.

    Arithmetic is float64 where the device can.

    Args:
        image: In [0, 1].
        size: Height and width of the result in pixels.
        clip8: Round and clip input and both passes, vertical first, to 8 bits.
        border: What lies beyond the border: ``replicate``, its pixels again (older MATLAB), or
            ``mirror``, the image mirrored with its border repeated (newer MATLAB).
    """
    work = torch.float32 if image.device.type == "mps" else torch.float64
    if not clip8:
        tall = _pass(image.to(work), -2, size[0], border)
        return _pass(tall, -1, size[1], border).to(image.dtype)
    levels = _round8(image.to(work) * 255)
    levels = _round8(_pass(levels, -2, size[0], border))
    levels = _round8(_pass(levels, -1, size[1], border))
    return levels.to(image.dtype) / 255


def interpolate(
    features: Float[Tensor, "b c h w"],
    mode: Literal["bilinear", "bicubic"],
    *,
    size: Size | None = None,
    scale: float | None = None,
) -> Float[Tensor, "b c h2 w2"]:
    """Resample to ``size``, or by ``scale``, as torch's function of that name does.

    Its gradient on a GPU adds in whatever order threads come. Where only deterministic algorithms
    may be used (``trainer.deterministic=true``) the same weights are two products of matrices.
    """
    factors = None if scale is None else (scale, scale)
    if features.is_cuda and torch.are_deterministic_algorithms_enabled():
        return by_products(features, mode, size, factors)
    return _torchs(features, mode, size, factors)


def by_products(
    features: Tensor, mode: str, size: Size | None, factors: tuple[float, float] | None
) -> Tensor:
    """Return what ``interpolate`` does, by one matrix along each axis."""
    height, width = (
        _torchs(
            torch.eye(length, dtype=torch.float32, device=features.device)[None, :, :, None],
            mode,
            None if size is None else (size[axis], 1),
            None if factors is None else (factors[axis], 1.0),
        )[0, :, :, 0]  # (input, output)
        for axis, length in enumerate(features.shape[-2:])
    )
    tall = torch.einsum("bchw,hi->bciw", features, height.to(features.dtype))
    return torch.einsum("bciw,wj->bcij", tall, width.to(features.dtype))


def _torchs(
    features: Tensor, mode: str, size: Size | None, factors: tuple[float, float] | None
) -> Tensor:
    options = {} if factors is None else {"recompute_scale_factor": False}
    whole: Any = size  # torch's annotation knows numbers alone
    return F.interpolate(features, whole, factors, mode, align_corners=False, **options)


def _round8(levels: Tensor) -> Tensor:
    return (levels + 0.5).floor().clamp(0, 255)  # halves go up, as in MATLAB


def _pass(image: Tensor, axis: int, length: int, border: Border) -> Tensor:
    if image.shape[axis] == length:
        return image
    indices, weights = _taps(image.shape[axis], length, border)
    shape = (-1, 1) if axis == -2 else (-1,)
    result = image.new_zeros(())
    for index, weight in zip(indices.to(image.device), weights.to(image), strict=True):
        result = result + image.index_select(axis, index) * weight.view(shape)
    return result


@lru_cache(maxsize=64)
def _taps(length: int, new_length: int, border: Border) -> tuple[Tensor, Tensor]:
    """Return the input indices, and their weights, of each tap: two (taps, new_length) tensors."""
    factor = new_length / length
    stretch = max(1.0, 1 / factor)
    support = _SUPPORT * stretch
    # Positions count from 1, as in MATLAB, with pixel centres on whole numbers.
    centres = torch.arange(1, new_length + 1, dtype=torch.float64) / factor + (1 - 1 / factor) / 2
    first = torch.floor(centres - support / 2)
    positions = first + torch.arange(math.ceil(support) + 2, dtype=torch.float64)[:, None]
    weights = _keys((centres - positions) / stretch)
    weights = weights / weights.sum(dim=0)
    used = weights.any(dim=1)
    indices = positions[used].long() - 1
    if border == "replicate":
        return indices.clamp(0, length - 1), weights[used]
    turned = indices % (2 * length)  # the image and its mirror image, over and over
    return torch.minimum(turned, 2 * length - 1 - turned), weights[used]


def _keys(distance: Tensor) -> Tensor:
    """Return the cubic convolution kernel (Keys, 1981, eq. 4 with a as in MATLAB)."""
    x = distance.abs()
    near = (_A + 2) * x**3 - (_A + 3) * x**2 + 1
    far = _A * (x**3 - 5 * x**2 + 8 * x - 4)
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))


def pad_to_multiple(
    image: Float[Tensor, "b c h w"], multiple: int, *, least: int = 1
) -> Float[Tensor, "b c h2 w2"]:
    """Extend bottom and right up to multiples of ``multiple`` that are at least ``least``.

    The image is mirrored without repeating its border; where it is too small for that, its border
    is repeated.
    """
    bottom, right = (
        -(-max(size, least) // multiple) * multiple - size for size in image.shape[-2:]
    )
    if not bottom and not right:
        return image
    mirror = bottom < image.shape[-2] and right < image.shape[-1]
    return F.pad(image, (0, right, 0, bottom), mode="reflect" if mirror else "replicate")


def mirror_to_multiple(
    image: Float[Tensor, "b c h w"], multiple: int
) -> Float[Tensor, "b c h2 w2"]:
    """Do as ``pad_to_multiple`` without a decision that depends on the size.

    One traced program does for all sizes, those that need no padding included. Where the image is
    too small for mirroring, its first row or column is repeated.
    """
    for axis in (-2, -1):
        size = image.shape[axis]
        wanted = (size + multiple - 1) // multiple * multiple
        index = torch.arange(wanted, device=image.device)
        mirrored = torch.where(index < size, index, 2 * (size - 1) - index).clamp(min=0)
        image = image.index_select(axis, mirrored)
    return image


def cut(image: Float[Tensor, "b c h w"], height: int, width: int) -> Float[Tensor, "b c h2 w2"]:
    """Return the first rows and columns, also without a decision that depends on the size."""
    rows = image.index_select(-2, torch.arange(height, device=image.device))
    return rows.index_select(-1, torch.arange(width, device=image.device))
