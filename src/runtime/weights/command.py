"""Convert: published weights in, a file of ours out."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from torch import Tensor

from src.core.errors import CheckpointError, ConfigError, did_you_mean
from src.core.paths import from_root
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
    architecture, output = str(cfg.architecture), from_root(str(cfg.output))
    if architecture not in LAYOUTS:
        raise ConfigError(
            f"architecture={architecture}: no such published network. "
            f"{did_you_mean(architecture, LAYOUTS)}"
        )
    if not isinstance(cfg.scale, int | None):
        raise ConfigError(f"scale={cfg.scale}: one file has one scale, e.g. scale=2.")
    if output.suffix != ".safetensors":
        raise ConfigError(f"output={cfg.output} must end in .safetensors, the format written.")
    if output.exists() and not cfg.overwrite:
        raise CheckpointError(f"{output} exists already; set overwrite=true or another output.")

    source = Path(str(cfg.source)).expanduser()
    source = source if source.exists() else from_root(source)
    tensors: Mapping[str, Tensor] = read_weights(source)
    node, tensors, layout = describe_reference(tensors, architecture, cfg.scale)
    net = build_reference(node, tensors, layout)
    about = {
        **origin(),
        "architecture": architecture,
        "source": {"name": source.name, "sha256": _sha256(source)},
    }
    write_network(output, net.state_dict(), node, about)

    count = sum(parameter.numel() for parameter in net.parameters())
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"{architecture}, {count:,} parameters: {output}")
    console.print(f"Use it:  python -m src.predict checkpoint={cfg.output} input=… output=…")
    console.print(f"         python -m src.evaluate checkpoint={cfg.output} task=… sets=…")
    return count


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
