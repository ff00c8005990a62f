"""Published weights in, a file of ours out; or at once: `checkpoint=<file> architecture=<name>`."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig
from torch import Tensor

from src.core.errors import CheckpointError, ConfigError, did_you_mean
from src.core.files import sha256
from src.core.origin import origin
from src.core.paths import from_root
from src.weights.foreign import read_weights
from src.weights.network_file import write_network
from src.weights.reference import LAYOUTS, build_reference, describe_reference


def known_architecture(name: object) -> str:
    """Return the name of a published network.

    Raises:
        ConfigError: If there is none of that name.
    """
    if str(name) not in LAYOUTS:
        raise ConfigError(
            f"architecture={name}: no such published network. {did_you_mean(str(name), LAYOUTS)}"
        )
    return str(name)


def convert_file(source: Path, architecture: str, scale: int | None, output: Path) -> int:
    """Write the published weights of ``source`` under our names to ``output``.

    Args:
        source: The authors' file; a relative path is tried from the repository root too.
        architecture: A name in ``LAYOUTS``.
        scale: Where the file is for several, or does not tell.
        output: The .safetensors file, made or replaced.

    Returns:
        The number of parameters.

    Raises:
        CheckpointError: If the source is unusable or does not fit.
    """
    source = source.expanduser()
    source = source if source.exists() else from_root(source)
    tensors: Mapping[str, Tensor] = read_weights(source)
    node, tensors, layout = describe_reference(tensors, architecture, scale)
    net = build_reference(node, tensors, layout)
    about = {
        **origin(),
        "architecture": architecture,
        "source": {"name": source.name, "sha256": sha256(source)},
    }
    write_network(output, net.state_dict(), node, about)
    return sum(parameter.numel() for parameter in net.parameters())


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
