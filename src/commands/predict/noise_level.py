"""Which noise level predict tells a network that takes one."""

from src.core.errors import ConfigError
from src.core.types import RestorationNet
from src.inference.restorer import takes_noise_level
from src.weights.checkpoint import Checkpoint

_HIGHEST = 255


def noise_level(net: RestorationNet, checkpoint: Checkpoint, given: object) -> float | None:
    """Return σ on the 8-bit scale, or None for a network that is not told.

    Args:
        net: The network.
        checkpoint: Where it comes from: a training with one level needs no other.
        given: ``sigma=`` of the command line.

    Raises:
        ConfigError: If the level is needed and not known, given and not needed, or impossible.
    """
    name = type(net).__name__
    if not takes_noise_level(net):
        if given is not None:
            raise ConfigError(
                f"sigma={given}: {name} of {checkpoint.path} is not told the noise level; leave "
                "sigma=… out."
            )
        return None
    level = _trained_level(checkpoint) if given is None else given
    if level is None:
        raise ConfigError(
            f"{name} of {checkpoint.path} is told the noise level of the images: add "
            "sigma=<level>, the deviation of their noise on the 8-bit scale, e.g. sigma=25."
        )
    if not isinstance(level, int | float) or not 0 <= level <= _HIGHEST:
        raise ConfigError(
            f"sigma={level} is not possible; it is one number on the 8-bit scale, 0 to {_HIGHEST}, "
            "e.g. sigma=25."
        )
    return float(level)


def _trained_level(checkpoint: Checkpoint) -> float | None:
    """Return the one level of the training's noise, or None."""
    levels = {float(level) for level in checkpoint.config.get("degradation", {}).get("sigma", [])}
    return levels.pop() if len(levels) == 1 else None


def image_channels(net: RestorationNet) -> int:
    """Return how many channels of an image ``net`` takes, the noise level not counted."""
    return net.in_channels - int(takes_noise_level(net))
