"""Convert: published weights in, a file of ours out."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig
from torch import Tensor

from src.core.errors import CheckpointError, ConfigError, did_you_mean
from src.core.paths import from_root
from src.runtime.console import plain_console
from src.runtime.origin import origin
from src.runtime.weights.foreign import read_weights
from src.runtime.weights.network_file import write_network
from src.runtime.weights.published.layouts import LAYOUTS
from src.runtime.weights.published.load import build_reference, describe_reference


def convert(cfg: DictConfig) -> int:
    """Write the weights of ``cfg.source`` under our names to ``cfg.output``.

    Returns:
        The number of parameters.

    Raises:
        ConfigError: If there is no such architecture, or the output is no .safetensors file.
        CheckpointError: If the source is unusable or does not fit, or the output exists.
    """
    architecture, output = known_architecture(cfg.architecture), from_root(str(cfg.output))
    if not isinstance(cfg.scale, int | None):
        raise ConfigError(f"scale={cfg.scale}: one file has one scale, e.g. scale=2.")
    if output.suffix != ".safetensors":
        raise ConfigError(f"output={cfg.output} must end in .safetensors, the format written.")
    if output.exists() and not cfg.overwrite:
        raise CheckpointError(f"{output} exists already; set overwrite=true or another output.")

    count = convert_file(Path(str(cfg.source)), architecture, cfg.scale, output)
    console = plain_console()
    console.print(f"{architecture}, {count:,} parameters: {output}")
    console.print(f"Use it:  python -m src.predict checkpoint={cfg.output} input=… output=…")
    console.print(f"         python -m src.evaluate checkpoint={cfg.output} task=… sets=…")
    return count


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
        "source": {"name": source.name, "sha256": _sha256(source)},
    }
    write_network(output, net.state_dict(), node, about)
    return sum(parameter.numel() for parameter in net.parameters())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
