"""Published weights in, a file of ours out."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from src.core.errors import ConfigError, did_you_mean
from src.core.files import sha256
from src.core.origin import origin
from src.core.paths import from_root
from src.weights.foreign import read_weights
from src.weights.network_file import write_network
from src.weights.published.layouts import LAYOUTS
from src.weights.published.load import build_reference, describe_reference


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
