"""What the jobs of a sweep leave, whichever launcher ran them, and the table made of it."""

import json
import math
import os
import signal
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from src.app.config.options import AUTO, key_of
from src.app.config.resume import OF_A_START, WHOLE
from src.core.errors import ExemplarError
from src.core.files import write_csv, write_json, write_text
from src.core.preemption import Preemption, preempt
from src.core.redact import without_passwords
from src.metrics.direction import higher_is_better, monitor_mode

if TYPE_CHECKING:  # it imports rich, which every start would wait for
    from src.core.console import FoldingTable

DONE, PRUNED, FAILED, INTERRUPTED, LOST = "done", "pruned", "failed", "interrupted", "lost"
PREEMPTED = "preempted"
_FILE = "sweep_job.json"
CHOSEN_ON = "Scores on images that choose best.ckpt; for others: python -m src.evaluate sets=…"
"""What is said of the scores of validations."""
_OF_SEARCH = "callbacks.report_to_study."  # what a search tells its trials beside their values

RESTARTED = "EXEMPLAR_RESTARTED"
"""Variable by which a launcher says that it has started this job before; SLURM has one too. It is
set also when the machine was lost, so that the job could leave no word."""


@dataclass
class JobResult:
    """How one job of a sweep ended."""

    number: int  # of the job
    overrides: list[str]  # what it was given
    folder: str  # where it wrote
    # ``done``, ``pruned``, ``failed``, ``interrupted``, ``preempted``: it goes on when it is
    # started again, or ``lost``: it left no word.
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


@contextmanager
def recorded_job(config: Mapping[str, Any]) -> Iterator[JobResult]:
    """Yield the result of the running job, to be filled; it is written however the job ends.

    Args:
        config: Of the job, as composed: key → value.
    """
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
    file = Path(str(settings.runtime.output_dir)) / _FILE
    if not file.is_file():
        return None
    before = _read(file)
    given = [text for text in settings.overrides.task if key_of(text) not in OF_A_START]
    same = before.overrides == [without_passwords(text) for text in given]
    return before if before.status == DONE and same else None


def is_start_again(resume: str | None, folder: Path) -> bool:
    """Say whether this may be a second start of the job whose run folder is ``folder``.

    Args:
        resume: The key of that name, None or ``auto``.
        folder: It may hold a run that goes on, or nothing yet.
    """
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
    file = folder / _FILE
    return file.is_file() and _read(file).status == PREEMPTED


def was_cut_short(folder: Path) -> bool:
    """Say whether the job in ``folder`` was stopped or killed, and did not end by itself."""
    file = folder / _FILE
    return not file.is_file() or _read(file).status not in {DONE, FAILED}


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
        if (folder / _FILE).is_file():
            results.append(_read(folder / _FILE))
        elif folder.is_dir() and folder.name.isdigit():
            results.append(
                JobResult(int(folder.name), [], str(folder), message="it left no word: killed?")
            )
    return sorted(results, key=lambda result: result.number)


def _read(file: Path) -> JobResult:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return JobResult(**{**kept, "folder": str(file.parent)})  # where it is, whatever it says
    except (ValueError, TypeError, AttributeError):  # of a machine that lost its power, or edited
        number = int(file.parent.name) if file.parent.name.isdigit() else -1
        return JobResult(number, [], str(file.parent), message=f"its {_FILE} is damaged")


def score_before(folder: Path) -> float | None:
    """Return the score that the job in ``folder`` had when it last ended; None for none."""
    file = folder / _FILE
    return _read(file).score if file.is_file() else None


def write_results(sweep: Path, results: Sequence[JobResult]) -> None:
    """Write ``sweep_results.json`` and ``sweep_results.csv`` into the folder of the sweep."""
    kept = [{k: v for k, v in asdict(result).items() if k != "config"} for result in results]
    write_json(sweep / "sweep_results.json", kept)
    varied = varied_keys(results)
    rest = ["status", "metric", "score", "seconds", "message", "folder"]
    rows: list[list[object]] = [["job", *varied, *rest]]
    for result in results:
        values = [result.value(key) for key in varied]
        rows.append([result.number, *values, *(getattr(result, name) for name in rest)])
    write_csv(sweep / "sweep_results.csv", rows)
    seeds = over_seeds(results)
    if seeds:
        write_csv(sweep / "sweep_seeds.csv", [[*seeds[0]], *([*row.values()] for row in seeds)])


def over_seeds(results: Sequence[JobResult]) -> list[dict[str, Any]]:
    """Return mean, deviation and standard error of scores that only ``seed`` tells apart.

    Empty where no two scores do.
    """
    others = [key for key in varied_keys(results) if key not in {"seed", "data.seed"}]
    groups: dict[tuple[str, ...], list[JobResult]] = {}
    for result in results:
        if result.status == DONE and result.score is not None:
            alike = (result.metric, *(result.value(key) for key in others))
            groups.setdefault(alike, []).append(result)
    rows = []
    for (metric, *values), jobs in groups.items():
        seeds = {job.value("seed") for job in jobs}
        scores = [job.score for job in jobs if job.score is not None]
        if len(seeds) == len(scores) > 1:
            row = {**dict(zip(others, values, strict=True)), "seeds": len(seeds), "metric": metric}
            spread = statistics.stdev(scores)
            row |= {"mean": statistics.fmean(scores), "standard_deviation": spread}
            rows.append({**row, "standard_error": spread / math.sqrt(len(scores))})
    return rows


def table_of_seeds(rows: Sequence[Mapping[str, Any]]) -> "FoldingTable":
    """Return the table of what ``over_seeds`` gives."""
    from src.core.console import FoldingTable

    keys = [key for key in rows[0] if not key.startswith(("mean", "standard_"))]
    table = FoldingTable(keys, ["mean"], title="Over seeds: mean ± standard error")
    for row in rows:
        cells = (_short(str(row[key])) for key in keys)
        table.add_row(*cells, f"{row['mean']:.4f} ± {row['standard_error']:.4f}")
    return table


def table_of(results: Sequence[JobResult]) -> "FoldingTable":
    """Return a table of what varied and what came out; the best score is bold, if one is best."""
    from src.core.console import FoldingTable

    varied = varied_keys(results)
    names = {result.metric for result in results if result.score is not None}
    score = names.pop() if len(names) == 1 else ""
    table = FoldingTable(["job", *varied], [score or "score", "time"], remark="")
    best = _best(results)
    for result in results:
        ended = result.status if not result.message else f"{result.status}: {result.message}"
        done = result.status == DONE
        table.add_row(
            Path(result.folder).name,
            *(_short(result.value(key)) for key in varied),
            "" if result.score is None else f"{result.score:.4f}",
            f"{result.seconds:.0f} s",
            "" if done else ended,
            style="bold" if result.score == best else "" if done else "red",
        )
    return table


def _best(results: Sequence[JobResult]) -> float:
    """Return the best score; NaN where there is none, or jobs do not agree on what is better."""
    scores = [result.score for result in results if result.score is not None]
    directions = {result.higher_is_better for result in results if result.score is not None}
    if len(directions) != 1 or None in directions:
        return math.nan
    return max(scores) if True in directions else min(scores)


def score_direction(command: str | None, config: Mapping[str, Any]) -> bool | None:
    """Return whether more of what a command returns to a sweep is better; None if that is open.

    Args:
        command: Its name, e.g. ``train``.
        config: Of the job: key → value, as ``JobResult.config``.

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


def varied_keys(results: Sequence[JobResult]) -> list[str]:
    """Return the keys whose values differ between jobs, in the order in which they were given.

    First those of the overrides, then those of the configurations that no override explains: a job
    that goes on may be older than a file that it was composed from.
    """
    known = [result for result in results if result.overrides]  # a lost job may have had any
    keys = dict.fromkeys(key for result in known for key in result.settings)
    told = [key for key in keys if not key.startswith(_OF_SEARCH)]
    given = [key for key in told if len({result.settings.get(key) for result in known}) > 1]
    composed = [result for result in known if result.config]
    paths = dict.fromkeys(path for result in composed for path in result.config)
    differ = [path for path in paths if len({str(r.config.get(path)) for r in composed}) > 1]
    return [*given, *(path for path in differ if not _explained(path, given))]


def _explained(path: str, given: Sequence[str]) -> bool:
    """Say whether a key of ``given``, or the group that it chooses, decides ``path``."""
    groups = [key.replace("/", ".") for key in given]
    return path.startswith(_OF_SEARCH.removesuffix(".")) or any(
        group in (*WHOLE, "task") or path == group or path.startswith(f"{group}.")
        for group in groups
    )


def _short(value: str) -> str:
    """Return a drawn number with four digits, anything else as it is."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value


@contextmanager
def concluded(sweep: Path) -> Iterator[None]:
    """Run the sweep in a folder; write its results and print its table in whatever way it ends.

    Raises:
        ExemplarError: If a job has failed, naming all that have.
    """
    try:
        yield
    finally:
        results = read_results(sweep) if sweep.is_dir() else []
        if results:
            from src.core.console import make_console

            write_results(sweep, results)
            console = make_console(stderr=True)
            console.print(f"Sweep       {sweep}")
            console.print(table_of(results))
            if seeds := over_seeds(results):
                console.print(table_of_seeds(seeds))
            if any(result.metric.startswith("val/") for result in results):
                console.print(CHOSEN_ON)
    failed = [Path(result.folder).name for result in results if result.status not in {DONE, PRUNED}]
    if failed:
        raise ExemplarError(
            f"{len(failed)} of {len(results)} jobs did not finish: {', '.join(failed)}. "
            f"See {sweep}/sweep_results.json and the folders of these jobs."
        )
