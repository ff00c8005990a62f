"""Full precision inside automatic mixed precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def no_autocast(features: Tensor) -> AbstractContextManager[object]:
    """Return a context without autocast on the device of ``features``; cast inputs yourself.

    Where there is none it does nothing, so that a traced program has no trace of it.
    """
    kind = features.device.type
    if torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()


def at_least_float32(features: Tensor) -> Tensor:
    """Return ``features`` in 32 bits, or as they are if wider."""
    return features.to(torch.promote_types(features.dtype, torch.float32))
