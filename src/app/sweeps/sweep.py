"""What the jobs of a sweep leave, whichever launcher ran them, and how they go on."""

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from src.app.config.options import AUTO, key_of
from src.app.config.resume import OF_A_START
from src.core.errors import ExemplarError
from src.core.files import write_json, write_text
from src.core.preemption import Preemption, preempt
from src.core.redact import without_passwords
from src.metrics.direction import higher_is_better, monitor_mode

DONE, PRUNED, FAILED, INTERRUPTED, LOST = "done", "pruned", "failed", "interrupted", "lost"
PREEMPTED, ELSEWHERE = "preempted", "elsewhere"
_FILE = "sweep_job.json"

RESTARTED = "EXEMPLAR_RESTARTED"
"""Variable by which a launcher says that it has started this job before; SLURM has one too. It is
set also when the machine was lost, so that the job could leave no word."""


class LeftToAnotherError(ExemplarError):
    """Another process does this job, or has done it since this one began."""


@dataclass
class JobResult:
    """How one job of a sweep ended."""

    number: int  # of the job
    overrides: list[str]  # what it was given
    folder: str  # where it wrote
    # ``done``, ``pruned``, ``failed``, ``interrupted``, ``preempted``: it goes on when it is
    # started again; ``elsewhere``: another process does it; or ``lost``: it left no word.
    status: str = LOST
    score: float | None = None  # what it returned; None where that is nothing or NaN
    higher_is_better: bool | None = None  # of the score; None where nothing says so
    metric: str = ""  # what the score is, e.g. ``val/psnr``; empty where it has no name
    message: str = ""  # why it failed
    seconds: float = 0.0  # how long it took
    # Its configuration as composed: key → value, interpolations as they are written.
    config: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        pairs = (text.lstrip("+").partition("=") for text in self.overrides)
        self.settings = {key: value for key, _, value in pairs}

    def write(self) -> None:
        """Write the result into the job's folder."""
        kept = {key: value for key, value in asdict(self).items() if key != "settings"}
        write_json(Path(self.folder) / _FILE, kept)

    def value(self, key: str) -> str:
        """Return what the job was given for ``key``, or has in its configuration."""
        return self.settings.get(key, str(self.config.get(key, "")))


def own_folder(folder: Path) -> Path:
    """Return ``folder``; within a sweep, that of the present job in it, named by its number."""
    job = HydraConfig.get().job if HydraConfig.initialized() else None
    return folder if job is None or OmegaConf.is_missing(job, "num") else folder / str(job.num)


def runs_cells(settings: Any) -> bool:  # noqa: ANN401
    """Say whether Hydra's own node is that of a comparison; of one without a sweeper it is not."""
    return str(OmegaConf.select(settings, "sweeper._target_")).endswith(".CellSweeper")


@contextmanager
def recorded_job(config: Mapping[str, Any]) -> Iterator[JobResult]:
    """Yield the result of the running job, to be filled; it is written however the job ends."""
    settings = HydraConfig.get()
    given = [text for text in settings.overrides.task if key_of(text) not in OF_A_START]
    result = JobResult(int(settings.job.num), given, str(settings.runtime.output_dir))
    result.config = {key: value for key, value in config.items() if key not in OF_A_START}
    begun = time.monotonic()
    try:
        yield result
    except KeyboardInterrupt:
        result.status = INTERRUPTED
        raise
    except Preemption as stop:
        result.status, result.message = PREEMPTED, str(stop)
        raise
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning exits after Ctrl-C
            result.status = INTERRUPTED
        raise
    finally:
        result.seconds = round(time.monotonic() - begun, 2)
        result.write()


def clean_multirun() -> None:
    """Take the passwords out of what Hydra itself has written about the sweep."""
    file = Path(str(HydraConfig.get().sweep.dir)) / "multirun.yaml"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    if without_passwords(text) != text:
        write_text(file, text)


def finished_job() -> JobResult | None:
    """Return the result of the running job if it was done by an earlier start with the same words.

    Of a job that was to be trained further by other words, there is none.
    """
    settings = HydraConfig.get()
    before = read_result(Path(str(settings.runtime.output_dir)))
    given = [text for text in settings.overrides.task if key_of(text) not in OF_A_START]
    same = before and before.overrides == [without_passwords(text) for text in given]
    return before if same and before and before.status == DONE else None


def is_start_again(resume: str | None, folder: Path) -> bool:
    """Say whether this may be a second start of the job whose run folder is ``folder``."""
    return resume == AUTO or started_again() or was_preempted(folder)


def started_again() -> bool:
    """Say whether a launcher or SLURM says that it has started this before."""
    return any(os.environ.get(name, "0") != "0" for name in (RESTARTED, "SLURM_RESTART_COUNT"))


def hand_on(signum: int) -> None:
    """Let whoever watched for the signal before training did have it now.

    submitit, which started the job, sends it to the queue again and ends this process.
    """
    handler = signal.getsignal(signum)
    if callable(handler) and handler is not preempt:
        handler(signum, None)


def was_preempted(folder: Path) -> bool:
    """Say whether the job in ``folder`` was stopped because its machine was wanted back."""
    before = read_result(folder)
    return before is not None and before.status == PREEMPTED


def was_cut_short(folder: Path) -> bool:
    """Say whether the job in ``folder`` was stopped or killed, and did not end by itself."""
    before = read_result(folder)
    return before is None or before.status not in {DONE, FAILED}


def forget(folder: Path) -> None:
    """Let the job in ``folder`` count as not done; what it has saved stays."""
    (folder / _FILE).unlink(missing_ok=True)


def mark(folder: Path, status: str) -> None:
    """Note of the job in ``folder`` what it cannot know: that its search has given it up."""
    result = _read(folder / _FILE)
    result.status = status
    result.write()


def read_results(sweep: Path) -> list[JobResult]:
    """Return the results of all jobs that have a folder in ``sweep``, by number."""
    results = []
    for folder in sweep.iterdir():
        if result := read_result(folder):
            results.append(result)
        elif folder.is_dir() and folder.name.isdigit():
            results.append(
                JobResult(int(folder.name), [], str(folder), message="it left no word: killed?")
            )
    return sorted(results, key=lambda result: result.number)


def stamps(sweep: Path) -> dict[str, tuple[int, int]]:
    """Return which file each job in ``sweep`` has left its result in: another each time."""
    found = {}
    for file in sweep.glob(f"*/{_FILE}"):
        with suppress(FileNotFoundError):  # another process at the same cells has just begun it
            found[file.parent.name] = (file.stat().st_ino, file.stat().st_mtime_ns)
    return found


def read_result(folder: Path) -> JobResult | None:
    """Return how the job in ``folder`` ended when it last did; None where it left no word."""
    try:
        return _read(folder / _FILE)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read(file: Path) -> JobResult:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return JobResult(**{**kept, "folder": str(file.parent)})  # where it is, whatever it says
    except (ValueError, TypeError, AttributeError):  # of a machine that lost its power, or edited
        number = int(file.parent.name) if file.parent.name.isdigit() else -1
        return JobResult(number, [], str(file.parent), message=f"its {_FILE} is damaged")


def score_direction(command: str | None, config: Mapping[str, Any]) -> bool | None:
    """Return whether more of what a command returns to a sweep is better; None if that is open.

    Raises:
        ConfigError: If nothing says which values of a training's ``monitor`` are best.
    """
    targets = {
        key.split(".")[1]: {"_target_": target}
        for key, target in config.items()
        if key.startswith("metrics.") and key.endswith("._target_")
    }
    if command == "train":
        return monitor_mode({**config, "metrics": targets}) == "max"
    if command == "evaluate" and targets:
        return higher_is_better(next(iter(targets)), targets)
    return False if command == "benchmark" else None  # seconds


def score_name(command: str | None, config: Mapping[str, Any]) -> str:
    """Return what a command returns to a sweep; empty if it has no name."""
    if command == "train":
        return str(config["monitor"])
    if command == "evaluate":  # of the first image set; without one of its own as trained
        metrics = [key.split(".")[1] for key in config if key.startswith("metrics.")]
        return next(iter(metrics), "first metric")
    return "seconds" if command == "benchmark" else ""
