"""How noisy or compressed an image is, from itself."""

import io
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_PATCHES = 10_000  # as many, about, tell the covariance well enough
_CONFIDENCE = 1 - 1e-6  # with which a patch of noise alone counts as flat
_ROOM = 1.5  # deviations of noise that a patch's mean stays away from black and white
_ROUNDS = 3


def estimate_sigma(image: Float[Tensor, "c h w"]) -> float | None:
    """Return the deviation of white Gaussian noise on the 8-bit scale.

    Patches without texture are chosen as by Liu, Tanaka and Okutomi, "Single-Image Noise Level
    Estimation for Blind Denoising", IEEE TIP 2013, Sec. III: those whose gradients are no stronger
    than the noise found so far explains. Of their covariance, not the least eigenvalue is taken,
    which is too small for few patches, but the mean of those that noise alone has made: the
    largest are left out until mean and median agree (Chen, Zhu and Heng, ICCV 2015, Alg. 1).
    Patches near black or white, whose noise is clipped, are left out too.

    Args:
        image: In [0, 1].

    Returns:
        σ, or None where there are too few patches to tell.
    """
    channels, height, width = image.shape
    side = 8 if channels == 1 else 5
    count, size = (height - side + 1) * (width - side + 1), channels * side**2
    if min(height, width) < side or count < 4 * size:
        return None
    stride = max(1, math.isqrt(count // _PATCHES))
    from scipy.special import gammaincinv  # only now: half a second of each start

    patches = F.unfold(image[None].double() * 255, side, stride=stride)[0]
    square = patches.view(channels, side, side, -1)
    strength = sum(square.diff(dim=axis).square().sum(dim=(0, 1, 2)) for axis in (1, 2))
    means = square.mean(dim=(1, 2))
    shape = size / 2  # of the Gamma distribution of the gradients' strength where σ is 1
    scale = 4 * channels * side * (side - 1) / shape
    largest = float(gammaincinv(shape, _CONFIDENCE)) * scale
    sigma = math.sqrt(max(0.0, float(_spectrum(patches)[0])))
    for _ in range(_ROUNDS):
        room = _ROOM * sigma
        flat = (strength <= largest * max(sigma, 0.3) ** 2) & (
            (means >= room) & (means <= 255 - room)
        ).all(dim=0)
        if int(flat.sum()) < 4 * size:
            break
        sigma = _of_noise(_spectrum(patches[:, flat]))
    return sigma


def _spectrum(patches: Float[Tensor, "size count"]) -> Float[Tensor, " size"]:
    """Return the eigenvalues of the covariance of patches, the least first."""
    values: Tensor = torch.linalg.eigvalsh(torch.cov(patches))
    return values


def _of_noise(values: Float[Tensor, " size"]) -> float:
    """Return σ from ascending eigenvalues: those that spread evenly round their mean."""
    while len(values) > 1 and values.mean() > values.median():
        values = values[:-1]
    return math.sqrt(max(0.0, float(values.mean())))


def jpeg_quality(tables: Mapping[int, Sequence[int]]) -> int:
    """Return the quality of which libjpeg makes the nearest table for luma, 1 to 100.

    It is exact for whatever scales the tables of the standard as libjpeg does, Pillow among them.

    Args:
        tables: ``image.quantization`` of Pillow; 0 is that of luma.
    """
    wanted = tables[min(tables)]
    distances = {
        quality: sum(abs(ours - theirs) for ours, theirs in zip(table, wanted, strict=True))
        for quality, table in _luma_tables().items()
    }
    return min(distances, key=distances.__getitem__)


@lru_cache(maxsize=1)
def _luma_tables() -> dict[int, tuple[int, ...]]:
    """Return the table for luma of each quality, as libjpeg writes it."""
    tables = {}
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("L", (1, 1)).save(file, format="JPEG", quality=quality)
        with Image.open(file) as written:
            tables[quality] = tuple(written.quantization[0])  # type: ignore[attr-defined]
    return tables
