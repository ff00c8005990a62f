"""A job that is settled: all its processes read this, and none of them composes it again."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import OmegaConf

from src.app.processes.process import begin_collecting
from src.core.errors import ConfigError
from src.core.files import write_text
from src.core.registry import locate

if TYPE_CHECKING:  # its module imports torch, which takes seconds
    from src.core.types import PlainConfig

PLACE = "processes"
"""Folder, in that of the job, of what its processes read and leave."""

PASSWORDS = "EXEMPLAR_PASSWORDS"
"""Variable that gives a process the passwords of its job, a JSON list; no file has them."""

_FILE = "job.yaml"


@dataclass(frozen=True)
class Job:
    """What runs, with which configuration, where."""

    # Resolved and plain, so that nothing in it can be drawn or looked up again.
    config: "PlainConfig"
    folder: str  # where the job writes; decided once, by the process that settles the job
    target: str = ""  # dotted name of ``f(job) -> float``, called once in each process
    processes: int = 1  # on this machine
    # What the command line chose: see ``settled_by_hydra``; {} in one process alone.
    hydra: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)  # what else ``target`` must know, plain

    def digest(self) -> str:
        """Return a hash of everything in it, equal in processes that have the same job."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @property
    def place(self) -> Path:
        """The folder of what its processes read and leave."""
        return Path(self.folder) / PLACE

    def freeze(self) -> Path:
        """Write the job for its processes, but for its passwords; return the file."""
        path = self.place / _FILE
        write_text(path, self.text())
        return path

    def text(self) -> str:
        """Return the job as YAML."""
        return yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True)

    def call(self) -> float:
        """Do the job's part of this process."""
        target = locate(self.target)
        begin_collecting()
        result: float = target(self)
        return result


def parse(text: str) -> Job:
    """Return the job that ``Job.text`` wrote; ConfigError if ``text`` is no job."""
    try:
        return Job(**yaml.safe_load(text))
    except (TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"The frozen job is damaged: {error}. Start the command again.") from None


def settled_by_hydra() -> dict[str, Any]:
    """Return what of Hydra's own configuration the jobs of this project ask for, plain."""
    settings = HydraConfig.get()
    multirun = settings.mode == RunMode.MULTIRUN
    return {
        "mode": (RunMode.MULTIRUN if multirun else RunMode.RUN).name,
        "runtime": {
            "output_dir": str(settings.runtime.output_dir),
            "choices": OmegaConf.to_container(settings.runtime.choices),
            "config_sources": OmegaConf.to_container(settings.runtime.config_sources),
        },
        "overrides": {"task": list(settings.overrides.task)},
        "sweep": {"dir": str(settings.sweep.dir) if multirun else "."},
        "job": {"name": settings.job.name, "config_name": settings.job.config_name},
        "job_logging": OmegaConf.to_container(settings.job_logging, resolve=True),
    }


def restore_hydra(settings: dict[str, Any]) -> None:
    """Let ``HydraConfig.get()`` and ``${hydra:…}`` answer in a process that Hydra did not start."""
    setup_globals()
    node = OmegaConf.merge(OmegaConf.structured(HydraConf), settings)
    HydraConfig.instance().set_config(OmegaConf.create({"hydra": node}))
