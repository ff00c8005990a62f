"""Sizes of a published network, read from its tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor

from src.core.errors import CheckpointError


def shapes_of(tensors: Mapping[str, Tensor], *names: str) -> list[torch.Size]:
    """Return the shapes of ``names``.

    Raises:
        CheckpointError: Naming what is missing, or has too few dimensions.
    """
    missing = [name for name in names if name not in tensors]
    if missing:
        raise CheckpointError(
            f"The tensors do not fit: missing {', '.join(missing)}, from which the size of the "
            "network is read. Is this the right architecture?"
        )
    flat = [name for name in names if tensors[name].dim() != 4]
    if flat:
        raise wrong(f"{', '.join(flat)} is no weight of a convolution")
    return [tensors[name].shape for name in names]


def wrong(reason: str) -> CheckpointError:
    """Return the error that says why tensors are not those of a published network."""
    return CheckpointError(f"The tensors do not fit: {reason}.")
