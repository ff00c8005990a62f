"""Whether a job is one of a sweep, without the imports that loggers need: ``--help`` asks too."""

from pathlib import Path

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf


def sweep_name() -> str | None:
    """Return the name of the sweep's folder where this job is one of a sweep, else None."""
    if not HydraConfig.initialized() or not of_a_sweep(HydraConfig.get()):
        return None
    return Path(HydraConfig.get().sweep.dir).name


def of_a_sweep(settings: HydraConf | DictConfig) -> bool:
    """Return whether the job with these settings of Hydra is one of a sweep.

    In the jobs of a sweep Hydra leaves ``mode`` empty, but numbers them.
    """
    numbered = not OmegaConf.is_missing(settings.job, "num")
    return numbered or settings.mode == RunMode.MULTIRUN
