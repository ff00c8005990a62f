"""The words that `${…}` understands in our YAML files, beside OmegaConf's and Hydra's own."""

from datetime import datetime
from itertools import count
from pathlib import Path

from omegaconf import OmegaConf

from src.app.config.options import describe_groups
from src.app.config.resume import folder_of
from src.core.paths import from_root


def register_resolvers(*, claim: bool = True) -> None:
    """Make ``run_dir``, ``multirun_dir``, ``times`` and ``config_groups`` known to OmegaConf.

    Args:
        claim: Whether a new folder is made at once, so that two processes that start in the same
            second get two folders; False for looking at a configuration.
    """

    def run_dir(resume: str | None, output_root: str, task: str, model: str) -> str:
        named = folder_of(resume)
        if named is not None:
            return str(from_root(named))
        return str(new_folder(from_root(output_root) / task / model, claim=claim))

    def multirun_dir(output_root: str) -> str:
        return str(new_folder(from_root(output_root) / "multirun", claim=claim))

    # Cached, because Hydra resolves the folder once a job and every job must get the same answer.
    OmegaConf.register_new_resolver("run_dir", run_dir, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("multirun_dir", multirun_dir, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("times", lambda one, other: one * other, replace=True)
    OmegaConf.register_new_resolver("config_groups", describe_groups, replace=True)


def new_folder(parent: Path, *, claim: bool = True) -> Path:
    """Return ``parent/<date>_<time>``, with ``_2``, ``_3`` … appended while that name is taken."""
    stem = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    names = (stem if number == 1 else f"{stem}_{number}" for number in count(1))
    return next(parent / name for name in names if _is_free(parent / name, claim=claim))


def _is_free(folder: Path, *, claim: bool) -> bool:
    if not claim:
        return not folder.exists()
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True
