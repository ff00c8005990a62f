"""Another attention block in a trained network, where it takes the same weights."""

from dataclasses import replace

from omegaconf import DictConfig, OmegaConf

from src.app.config.options import options_of
from src.core.errors import ConfigError, did_you_mean
from src.core.paths import CONF_DIR
from src.weights.checkpoint import Checkpoint

GROUP = "model/attention"


def with_attention(checkpoint: Checkpoint, name: str | None) -> Checkpoint:
    """Return ``checkpoint`` with its network's attention block replaced by the one called ``name``.

    What both blocks are given, e.g. ``levels``, stays as it was trained; the rest is as in
    conf/model/attention. Whether the weights fit is seen when they are loaded.

    Args:
        checkpoint: Of a training, or a network alone.
        name: An option of model/attention; None leaves everything as it is.

    Raises:
        ConfigError: If there is no such block, or the network has no place for one.
    """
    if name is None:
        return checkpoint
    options = options_of(GROUP)
    if name not in options:
        raise ConfigError(f"attention={name}: {did_you_mean(name, options)}")
    trained = checkpoint.config.model.get("attention")
    if trained is None:
        raise ConfigError(
            f"attention={name}: the network of {checkpoint.path} has no attention block; "
            "leave it out."
        )
    block = OmegaConf.load(CONF_DIR / GROUP / f"{name}.yaml")
    if not isinstance(block, DictConfig):
        raise TypeError(f"{name}.yaml is no mapping")
    kept = {key: value for key, value in trained.items() if key in block and key != "_target_"}
    config = checkpoint.config.copy()
    OmegaConf.set_struct(config, value=False)
    config.model.attention = OmegaConf.merge(block, kept)
    return replace(checkpoint, config=config)
