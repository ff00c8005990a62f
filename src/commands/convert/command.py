"""Convert: published weights in, a file of ours out."""

from pathlib import Path

from omegaconf import DictConfig

from src.core.console import plain_console
from src.core.errors import CheckpointError, ConfigError
from src.core.paths import from_root
from src.weights.conversion import convert_file, known_architecture


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
