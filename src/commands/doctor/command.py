"""The check as a command: in one process, or in as many as a training would have."""

import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from src.app.build import plain
from src.app.processes.exchange import translate_slurm
from src.app.processes.group import carry_out
from src.app.processes.job import Job
from src.app.processes.place import SLURM, here, settle_size
from src.commands.doctor.finding import show, wrong
from src.commands.doctor.machine import check_address, check_machine, check_start
from src.commands.doctor.together import examine
from src.core.errors import ConfigError, ExemplarError
from src.core.paths import from_root

_LAST_WORD_S = 10.0


def doctor(cfg: DictConfig) -> float:
    """Check, print, and return 0.

    Raises:
        ExemplarError: If something is wrong, after the table has said what.
    """
    place = here()
    early = [check_start(place)]  # what must be right for the processes to meet
    if place.starter == SLURM:
        translate_slurm(place)
    if place.starter is not None:  # torchrun's agent listens already
        listens = place.rank == 0 and place.starter == SLURM
        early.append(check_address(place, listens=listens))
    try:
        processes = settle_size(cfg.trainer, place)
    except ConfigError as error:
        early.append(wrong("trainer", str(error), "as it says"))
        processes = 1
    OmegaConf.resolve(cfg)
    config = plain(cfg)
    folder = from_root(cfg.paths.output_root) / f".doctor-together-{os.getpid()}"
    if any(finding.state == "wrong" for finding in early) or not _made(folder):
        findings = [*early, *check_machine(config, place, 0)]
        if any(finding.check == "GPU" and finding.state == "wrong" for finding in findings):
            # what the trainer's size suffers from is the missing GPU
            findings = [finding for finding in findings if finding.check != "trainer"]
        return _concluded(show(findings))
    job = Job(
        config=config,
        folder=str(folder),
        processes=processes,
        notes={"findings": [asdict(finding) for finding in early]},
    )
    try:
        return _concluded(carry_out(examine, job))
    finally:
        _clear(folder, max(processes, place.world))


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
        raise ExemplarError(f"{count:.0f} wrong; the table says how to mend each.")
    return 0.0
