"""The check as a command: in one process, or in as many as a training would have."""

import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from src.app.build import plain
from src.app.processes.carry_out import carry_out
from src.app.processes.exchange import translate_slurm
from src.app.processes.job import Job, settled_by_hydra
from src.app.processes.place import SLURM, Place, here
from src.app.processes.size import settle_size
from src.commands.doctor.address import check_address, check_start, listens_itself
from src.commands.doctor.devices import check_devices
from src.commands.doctor.examine import examine
from src.commands.doctor.finding import Finding, show, wrong
from src.commands.doctor.storage import check_storage
from src.core.errors import ConfigError, ExemplarError
from src.core.paths import from_root
from src.core.types import PlainConfig

_LAST_WORD_S = 10.0


def doctor(cfg: DictConfig) -> float:
    """Check, print, and return 0.

    Raises:
        ExemplarError: If something is wrong, after the table has said what.
    """
    place = here()
    early = _before_meeting(place)
    try:
        processes = settle_size(cfg.trainer, place)
    except ConfigError as error:
        early.append(wrong("trainer", str(error), "as it says"))
        processes = 1
    OmegaConf.resolve(cfg)
    config = plain(cfg)
    folder = from_root(cfg.paths.output_root) / f".doctor-together-{os.getpid()}"
    if any(finding.state == "wrong" for finding in early) or not _made(folder):
        return _concluded(_alone(early, config, place))
    try:
        count = carry_out(
            examine,
            Job(
                config=config,
                folder=str(folder),
                processes=processes,
                hydra=settled_by_hydra(),
                notes={"findings": [asdict(finding) for finding in early]},
            ),
        )
    finally:
        _clear(folder, max(processes, place.world))
    return _concluded(count)


def _before_meeting(place: Place) -> list[Finding]:
    """Look at what must be right for the processes to find one another."""
    if place.starter is None:
        return [check_start(place)]
    if place.starter == SLURM:
        translate_slurm(place)
    return [check_start(place), check_address(place, hosts_store=listens_itself(place))]


def _alone(early: list[Finding], config: PlainConfig, place: Place) -> float:
    """Show what this process sees, where the processes cannot meet."""
    own = [*check_devices(config, place, 0), *check_storage(config)]
    known = {finding.check for finding in own if finding.state == "wrong"}
    kept = [finding for finding in early if not (finding.check == "trainer" and "GPU" in known)]
    return float(show([*kept, *own]))


def _made(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True)
    except OSError:
        return False
    return True


def _clear(folder: Path, processes: int) -> None:
    """Remove the folder once each process has left its word in it, or would have by now."""
    end = time.monotonic() + _LAST_WORD_S
    while len(list(folder.glob("processes/rank_*.json"))) < processes and time.monotonic() < end:
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def _concluded(count: float) -> float:
    if count:
        raise ExemplarError(f"{count:.0f} wrong; the last column says how to mend each.")
    return 0.0
