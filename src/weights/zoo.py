"""Networks that come with the project, `checkpoint=zoo/<name>`."""

from pathlib import Path

from src.core.errors import CheckpointError, did_you_mean
from src.core.paths import SHIPPED

ZOO = "zoo/"
"""How the name of a checkpoint begins that is one of these."""

MODEL = "model.safetensors"
_FOLDER = SHIPPED / "experiments" / "zoo"


def zoo_names() -> list[str]:
    """Return the names of the networks there are, e.g. ``zoo/denoise``."""
    return sorted(f"{ZOO}{file.parent.name}" for file in _FOLDER.glob(f"*/{MODEL}"))


def zoo_file(name: str) -> Path:
    """Return the file of a network of the zoo.

    Raises:
        CheckpointError: If there is none of that name.
    """
    names = zoo_names()
    if name not in names:
        raise CheckpointError(f"{name}: {did_you_mean(name, names)}")
    return _FOLDER / name.removeprefix(ZOO) / MODEL


def network_for(task: str, scale: int | None = None) -> str:
    """Return the name of the zoo's network for a task, e.g. ``zoo/super_resolution_x2``.

    Raises:
        CheckpointError: If there is none.
    """
    name = f"{ZOO}{task}" if scale is None else f"{ZOO}{task}_x{scale}"
    zoo_file(name)
    return name
