"""How natural an image looks, without a clean one beside it: NIQE and BRISQUE.

Both describe an image by 18 numbers at each of two scales: fits of generalised Gaussians to its
normalised brightness and to products of neighbours. NIQE (Mittal, Soundararajan and Bovik, 2013,
doi:10.1109/LSP.2012.2227726) measures how far blocks of 96×96 pixels are from those of undistorted
photographs; BRISQUE (Mittal, Moorthy and Bovik, 2012, doi:10.1109/TIP.2012.2214050) asks a support
vector regression. The parameters are the authors' own: ``natural.md``.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.ops.color import grey8, luma
from src.ops.resize import resize

_BLOCK = 96
_WINDOW, _SIGMA = 7, 7 / 6
_FLAT = 1e-9  # levels: what rounding leaves where all neighbours are equal, with any sign
_GAMMA, _OFFSET = 0.05, 153.591  # of the regression's kernel, and its constant


def niqe(
    restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Return each restored image's NIQE, for intensities in [0, 1]; less is more natural.

    Of RGB it is that of BT.601 luma, 16 to 235. ``target`` is not looked at. An image of less than
    two blocks that are not flat has no score: NaN.

    Raises:
        ValueError: If an image has not two blocks of 96×96 pixels.
    """
    if min(restored.shape[-2:]) < 2 * _BLOCK:
        sides = tuple(restored.shape[-2:])
        raise ValueError(f"NIQE needs at least {2 * _BLOCK}×{2 * _BLOCK} pixels, not {sides}.")
    grey = luma(restored) if restored.shape[1] == 3 else restored
    height, width = (side - side % _BLOCK for side in grey.shape[-2:])
    levels = (grey.double() * 255).round()[..., :height, :width]
    known = _parameters()
    mean, covariance = known["niqe_mean"], known["niqe_covariance"]
    scores = []
    for image in levels:
        scales = (image[None], _halved(image[None]))
        features = torch.cat([_of_blocks(one, _BLOCK >> i) for i, one in enumerate(scales)], dim=1)
        whole = features[features.isfinite().all(dim=1)]  # of a flat block nothing can be fitted
        if len(whole) < 2:
            scores.append(features.new_tensor(torch.nan))
            continue
        apart = features.nanmean(dim=0) - mean.to(features)
        together = (covariance.to(features) + torch.cov(whole.T)) / 2
        scores.append((apart @ torch.linalg.pinv(together) @ apart).sqrt())
    return torch.stack(scores)


def brisque(
    restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Return each restored image's BRISQUE, for intensities in [0, 1]: 0 to 100, less is better.

    Of RGB it is that of MATLAB's rgb2gray. ``target`` is not looked at. A flat image has NaN.
    """
    grey = grey8(restored.double()) if restored.shape[1] == 3 else restored.double()
    levels = (grey * 255).round()
    features = torch.cat([_of_image(levels), _of_image(_halved(levels))], dim=1)
    known = _parameters()
    least, most = known["brisque_ranges"].to(features).T
    scaled = 2 * (features - least) / (most - least) - 1
    distances = torch.cdist(scaled, known["brisque_vectors"].to(features)).square()
    return (-_GAMMA * distances).exp() @ known["brisque_coefficients"].to(features) + _OFFSET


@cache
def _parameters() -> dict[str, Tensor]:
    with np.load(Path(__file__).with_suffix(".npz")) as file:  # noqa: TID251  our own
        return {name: torch.from_numpy(file[name]).double() for name in file.files}


def _halved(levels: Tensor) -> Tensor:
    """Return images at half their size, rounded up, as MATLAB's imresize(…, 0.5)."""
    rows, columns = (side % 2 for side in levels.shape[-2:])
    even = F.pad(levels, (0, columns, 0, rows), mode="replicate")
    return resize(even, (even.shape[-2] // 2, even.shape[-1] // 2), border="mirror")


def _normalised(levels: Tensor, border: str) -> Tensor:
    """Return brightness minus its local mean, over its local deviation + 1."""
    axis = torch.arange(_WINDOW, dtype=levels.dtype, device=levels.device) - _WINDOW // 2
    bell = (-(axis**2) / (2 * _SIGMA**2)).exp()
    window = (bell[:, None] * bell / bell.sum() ** 2)[None, None]

    def mean(image: Tensor) -> Tensor:
        return F.conv2d(F.pad(image, (_WINDOW // 2,) * 4, mode=border), window)

    middle = mean(levels)
    deviation = (mean(levels.square()) - middle.square()).abs().sqrt()
    apart = levels - middle
    apart = torch.where(apart.abs() < _FLAT, 0, apart)
    return apart / (deviation + 1)


def _of_blocks(levels: Tensor, side: int) -> Tensor:
    """Return (N, 18) features of the blocks of one image (1, 1, H, W)."""
    normal = _normalised(levels, "replicate")[0, 0]
    blocks = normal.unfold(0, side, side).unfold(1, side, side).reshape(-1, side, side)
    shape, left, right = _fit(blocks)
    scale = _scale(shape)
    features = [shape, (left + right) / 2 * scale]
    for vertical, horizontal in ((0, 1), (1, 0), (1, 1), (1, -1)):
        products = blocks * blocks.roll((vertical, horizontal), dims=(-2, -1))
        shape, left, right = _fit(products)
        scale = _scale(shape)
        features += [shape, _mean(shape, left, right), left * scale, right * scale]
    return torch.stack(features, dim=1)


def _of_image(levels: Tensor) -> Tensor:
    """Return (B, 18) features of whole images (B, 1, H, W)."""
    normal = _normalised(levels, "constant")[:, 0]
    shape, deviation = _fit_symmetric(normal)
    features = [shape, deviation.square()]
    for vertical, horizontal in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        products = normal * normal.roll((vertical, horizontal), dims=(-2, -1))
        shape, left, right = _fit(products)
        features += [shape, _mean(shape, left, right), left.square(), right.square()]
    return torch.stack(features, dim=1)


def _fit(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the shape of asymmetric Gaussians, and the deviations to the left and right."""
    flat = values.flatten(1)
    squares = flat.square()
    left, right = (
        ((squares * side).sum(dim=1) / side.sum(dim=1)).sqrt() for side in (flat < 0, flat > 0)
    )
    ratio = left / right
    moment = flat.abs().mean(dim=1).square() / squares.mean(dim=1)
    moment = moment * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1).square()
    return _nearest(moment), left, right


def _fit_symmetric(values: Tensor) -> tuple[Tensor, Tensor]:
    flat = values.flatten(1)
    variance = flat.square().mean(dim=1)
    return _nearest(flat.abs().mean(dim=1).square() / variance), variance.sqrt()


def _moment(shape: Tensor) -> Tensor:
    """Return E|x|² / E[x²] of a generalised Gaussian of that shape."""
    return (2 * torch.lgamma(2 / shape) - torch.lgamma(1 / shape) - torch.lgamma(3 / shape)).exp()


def _nearest(moment: Tensor) -> Tensor:
    """Return of the shapes 0.2, 0.201, …, 10 that whose moment is the nearest."""
    shapes = torch.arange(200, 10_001, dtype=moment.dtype, device=moment.device) / 1000
    known = _moment(shapes)  # grows with the shape
    nearest = shapes[torch.searchsorted((known[1:] + known[:-1]) / 2, moment)]
    return torch.where(moment.isfinite(), nearest, moment)


def _scale(shape: Tensor) -> Tensor:
    return ((torch.lgamma(1 / shape) - torch.lgamma(3 / shape)) / 2).exp()


def _mean(shape: Tensor, left: Tensor, right: Tensor) -> Tensor:
    spread = (torch.lgamma(2 / shape) - torch.lgamma(1 / shape)).exp()
    return (right - left) * _scale(shape) * spread
