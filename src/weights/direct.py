"""Published weights as a checkpoint: `checkpoint=<file> architecture=<name>`."""

from pathlib import Path

from omegaconf import DictConfig

from src.core.errors import CheckpointError, ConfigError
from src.core.paths import from_root
from src.weights.conversion import convert_file, known_architecture


def with_published_weights(cfg: DictConfig) -> DictConfig:
    """Return the configuration of evaluate or predict with a checkpoint of ours.

    Where ``architecture`` is given, ``checkpoint`` is a file of published weights. It is converted
    into ``<output_root>/networks``, each time anew, so that it is never an older one's.

    Raises:
        ConfigError: If there is no such architecture, or not one file.
        CheckpointError: If the file is unusable or does not fit.
    """
    if cfg.architecture is None:
        return cfg
    architecture = known_architecture(cfg.architecture)
    if not isinstance(cfg.checkpoint, str):
        raise ConfigError(
            f"architecture={architecture} goes with one file of published weights: "
            "checkpoint=<file>; convert several with src.convert and give the results."
        )
    source, scale = Path(cfg.checkpoint), _scale(cfg)
    folder = from_root(str(cfg.paths.output_root)) / "networks"
    output = folder / f"{source.stem}_{architecture}.safetensors"
    try:
        convert_file(source, architecture, None, output)
    except CheckpointError:
        if scale is None:
            raise
        output = folder / f"{source.stem}_{architecture}_x{scale}.safetensors"
        convert_file(source, architecture, scale, output)  # for several scales, or does not tell
    ready = cfg.copy()
    ready.checkpoint, ready.architecture = str(output), None
    return ready


def _scale(cfg: DictConfig) -> int | None:
    """Return the one scale that was asked for, or None."""
    asked = cfg.get("scale")
    if asked is None and cfg.get("task") is not None:
        asked = cfg.task.get("scale")
    if not isinstance(asked, int | None):
        raise ConfigError(f"scale={asked}: published weights are read for one scale, e.g. scale=2.")
    return asked
