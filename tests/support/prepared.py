"""Prepares a set in a test, as the command does once its words are accepted."""

from pathlib import Path

from src.commands.prepare.command import prepare
from tests.support.compose import compose_config

SIZES = "dataset.set5.sizes=[[24,20],[160,120]]"
"""For ``src.prepare dataset=set5``: the sizes of the images that tests make up are allowed."""


def prepare_set5(data_dir: Path, *words: str) -> int:
    """Prepare Set5 below ``data_dir``; return how many images are there."""
    typed = ("dataset=set5", SIZES, f"paths.data_dir={data_dir}", *words)
    return prepare(compose_config(*typed, config_name="prepare"))


def names(folder: Path) -> list[str]:
    """Return the names of all that is in ``folder``, sorted."""
    return sorted(path.name for path in folder.iterdir())
