"""Geometric self-ensemble ×8 (Lim et al., 2017, arXiv:1707.02921, Sec. 3.4)."""

from collections.abc import Callable

from torch import Tensor


def dihedral(image: Tensor, index: int) -> Tensor:
    """Return the ``index``-th (0 to 7) of the flips and transposes of (…, H, W)."""
    if index & 4:
        image = image.transpose(-2, -1)
    if index & 2:
        image = image.flip(-2)
    return image.flip(-1) if index & 1 else image


def undo_dihedral(image: Tensor, index: int) -> Tensor:
    """Return the image that ``dihedral(…, index)`` maps to ``image``."""
    if index & 1:
        image = image.flip(-1)
    if index & 2:
        image = image.flip(-2)
    return image.transpose(-2, -1) if index & 4 else image


def self_ensemble(restore: Callable[[Tensor], Tensor], degraded: Tensor) -> Tensor:
    """Return the mean of the restorations of all eight variants, each turned back."""
    variants = [undo_dihedral(restore(dihedral(degraded, index)), index) for index in range(8)]
    total = variants[0]
    for variant in variants[1:]:
        total = total + variant
    return total / len(variants)
