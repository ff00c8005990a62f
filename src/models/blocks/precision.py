"""Full precision inside automatic mixed precision."""

import torch
from torch import Tensor


def no_autocast(features: Tensor) -> torch.autocast:
    """Return a context without autocast on the device of ``features``; cast inputs yourself."""
    return torch.autocast(features.device.type, enabled=False)


def at_least_float32(features: Tensor) -> Tensor:
    """Return ``features`` in 32 bits, or as they are if wider."""
    return features.to(torch.promote_types(features.dtype, torch.float32))
