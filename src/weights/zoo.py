"""Networks that come with the project, `checkpoint=zoo/<name>`."""

from collections.abc import Sequence
from pathlib import Path

from src.core.errors import CheckpointError
from src.core.paths import SHIPPED

ZOO = "zoo/"
"""How the name of a checkpoint begins that is one of these."""

ENLARGING = "super_resolution"
"""The task whose networks are one for each scale."""

_ENDINGS = {"denoise": "denoised", "demosaic": "demosaiced"}
"""Of the names of results, where the task's own word is none."""

MODEL = "model.safetensors"
_FOLDER = SHIPPED / "experiments" / "zoo"


def zoo_names() -> list[str]:
    """Return the names of the networks there are, e.g. ``zoo/denoise``."""
    return sorted(f"{ZOO}{file.parent.name}" for file in _FOLDER.glob(f"*/{MODEL}"))


def zoo_file(name: str) -> Path:
    """Return the file of a network of the zoo; CheckpointError if there is none of that name."""
    names = zoo_names()
    if name not in names:
        task = name.partition("_x")[0]
        kin = [one for one in names if ENLARGING in name and one.startswith(task)]
        raise CheckpointError(
            f"{name}: no such network comes along, but {', '.join(kin or names)}."
        )
    return _FOLDER / name.removeprefix(ZOO) / MODEL


def result_ending(checkpoint: str, *, own: str = "restored") -> str:
    """Return how the name of a result ends that lies beside its source, e.g. ``_denoised``.

    ``own`` is the word for any network but those of the zoo.
    """
    if not checkpoint.startswith(ZOO):
        return f"_{own}"
    task = checkpoint.removeprefix(ZOO)
    return f"_{_ENDINGS.get(task, task.removeprefix(f'{ENLARGING}_'))}"


def with_zoo(words: Sequence[str]) -> list[str]:
    """Return the words of a command line, ``task=<task>`` replaced by ``checkpoint=zoo/<task>``.

    With ``task=super_resolution``, or ``upscale``, its ``scale=``, or 2, is part of the name.
    """
    given = dict(word.split("=", 1) for word in words if "=" in word)
    task = given.get("task")
    if task is None:
        return list(words)
    task = ENLARGING if task == "upscale" else task
    name, dropped = ZOO + task, {"task"}
    if task == ENLARGING:
        name += f"_x{given.get('scale', 2)}"
        dropped.add("scale")
    return [f"checkpoint={name}", *(w for w in words if w.partition("=")[0] not in dropped)]
