"""Compose the project's configuration in a test, as the command line would."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from src.app.config.check import Request, composed
from src.app.config.options import register_resolvers
from src.core.paths import CONF_DIR


def compose_config(
    *overrides: str, config_name: str = "train", conf_dir: Path = CONF_DIR
) -> DictConfig:
    """Return a job's configuration; ``paths.output_dir`` is a folder that is not made."""
    register_resolvers(claim=False)
    words = ["paths.output_dir=outputs/test", *overrides]
    with initialize_config_dir(str(conf_dir), version_base="1.3", job_name="test"):
        return compose(config_name, overrides=words)


def check(request: Request, *, complete: bool = True) -> None:
    """Refuse a command line that cannot work, as a start does."""
    with composed(request, complete=complete):
        pass
