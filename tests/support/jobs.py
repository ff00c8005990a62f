"""Jobs for tests of the command line: each does one thing that a real job may do."""

from pathlib import Path

from omegaconf import DictConfig

from src.core.errors import DataError


def succeed(cfg: DictConfig) -> float:
    """Leave a mark named after the device."""
    Path(cfg.output).mkdir(parents=True, exist_ok=True)
    (Path(cfg.output) / f"{cfg.device}.done").touch()
    return 1.0


def refuse_cpu(cfg: DictConfig) -> float:
    """Fail as a job does whose data cannot be used, on one device only."""
    if cfg.device == "cpu":
        raise DataError("the folder holds no image")
    return succeed(cfg)


def break_down(cfg: DictConfig) -> float:
    """Fail as a program with a fault does."""
    return 1.0 / len(cfg.paths.output_root[:0])


def be_interrupted(cfg: DictConfig) -> float:
    """End as Ctrl-C ends a job."""
    raise KeyboardInterrupt
