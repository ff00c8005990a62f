"""Compare blocks, networks or settings at equal budget: `python -m src.compare <folder>`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig

from src.app.config.options import key_of
from src.app.processes.process import keep_going_without_output
from src.app.sweeps.cell_files import CELL, CELLS, is_finished
from src.app.sweeps.cells import is_place
from src.app.sweeps.comparison import Comparison, read_comparison
from src.app.sweeps.sweep import LeftToAnotherError
from src.commands.cli.launch import EXIT_CONFIG, EXIT_ERROR, EXIT_INTERRUPT, launch
from src.core.errors import ConfigError, ExemplarError
from src.core.locks import InUseError, alone_in
from src.core.paths import quoted
from src.core.redact import readable

OWN_FOLDERS = ("paths.output_dir", "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
OWN_KEYS = ("cells", "from", "run", "cost")
USAGE = """\
python -m src.compare <folder> [key=value …]

runs the cells of <folder>/comparison.yaml that are not finished, and writes what came of all. The
keys are those of `python -m src.train`, for all cells; several at a time, on this machine:
  hydra/launcher=joblib hydra.launcher.n_jobs=2
cells=0-*,1-*-none runs those only whose names fit a pattern (<level>-<level>-…, as in table.md).
from=<folder>,… first takes over what other comparisons have finished of the same cells.
run=false runs none, and writes table.md, page.html, gain.svg and cells.csv of the finished ones.
cost=true runs none either: it times a step of each block in turn, on a machine that should do
nothing else, for these tables. With what was measured they also compare at equal time.
Given twice, in two terminals or on two machines that share the folder, it divides the cells."""
BUSY = "{folder}: {holder} trains this cell; it is left to that one."
UNUSABLE = "The folder {folder} of a cell cannot be written: {reason}."


def cell(cfg: DictConfig) -> float:
    """Train and score one cell.

    Raises:
        LeftToAnotherError: If another process does, or has done since this one began.
    """
    folder = Path(cfg.paths.output_dir)
    try:
        with alone_in(folder, busy=BUSY, unusable=UNUSABLE):
            if is_finished(folder):
                raise LeftToAnotherError(f"{folder.name} was finished by another process.")
            return _finish(cfg, folder)
    except InUseError as error:
        raise LeftToAnotherError(str(error)) from error


def _finish(cfg: DictConfig, folder: Path) -> float:
    """Train, score after the last step, and keep what is small."""
    import torch
    from hydra import compose

    from src.app.measure import count_flops
    from src.commands.compare.cell import keep, kind_of_device
    from src.commands.evaluate.job import score
    from src.commands.evaluate.plan import Combination
    from src.commands.train.command import train
    from src.core.memory import Resources
    from src.weights.checkpoint import network_of, open_checkpoint
    from src.weights.checkpoint_file import LAST

    (folder / CELL).unlink(missing_ok=True)  # it has lost another of its files
    went_on = (folder / "checkpoints" / LAST).is_file()
    training = Resources()
    train(cfg)
    cost: dict[str, Any] = {"training": training.as_dict(), "went_on": went_on}
    scoring = Resources()
    checkpoint = open_checkpoint(folder / "checkpoints" / LAST)
    asked = compose("evaluate", overrides=["images=false", f"device={kind_of_device(cfg)}"])
    asked.paths = cfg.paths
    alone = Combination(folder.name, str(checkpoint.path), None, None, {}, ())
    scored = score(asked, alone, checkpoint, folder, callbacks=[])
    net = network_of(checkpoint)
    patch = torch.zeros(1, cfg.io.in_channels, *[cfg.data.patch_size // cfg.io.scale] * 2)
    cost |= {"scoring": scoring.as_dict(), "flops": count_flops(lambda: net(patch))}
    keep(folder, cfg, checkpoint, cost)
    return scored.first_score()


def main() -> None:
    """Run the command line."""
    keep_going_without_output()
    words = sys.argv[1:]
    helped = bool({"-h", "--help"} & {*words})
    if helped or not words or words[0].startswith("-") or "=" in words[0]:
        print(USAGE, file=sys.stderr)
        sys.exit(0 if helped else 2)
    try:
        _do(Path(words[0]).resolve(), words[1:])
    except ExemplarError as error:
        print(readable(f"error: {error}"), file=sys.stderr)
        sys.exit(EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_ERROR)
    except KeyboardInterrupt:
        print("Interrupted; nothing is written.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPT)
    except OSError as error:
        where = error.filename2 or error.filename  # of a copy it is the new file that fails
        print(readable(f"error: {where}: {error.strerror}."), file=sys.stderr)
        sys.exit(EXIT_ERROR)


def _do(folder: Path, words: Sequence[str]) -> None:
    """Run what is missing, or measure, or only write the report."""
    comparison = read_comparison(folder)
    only = [word for word in words if word.startswith(("cells=", "from="))]
    runs = _switch(words, "run", default=True)
    measures = _switch(words, "cost", default=False)
    rest = [word for word in words if word.partition("=")[0] not in OWN_KEYS]
    if refused := [word for word in rest if key_of(word) in OWN_FOLDERS]:
        raise ConfigError(f"{' '.join(refused)}: a cell has a folder of its own; leave it out.")
    given = {key_of(word) for word in comparison.fixed}
    others = only + ([word for word in rest if not is_place(word, given)] if measures else rest)
    if others and (measures or not runs):
        does = "cost=true measures the cells as they are" if measures else "run=false runs nothing"
        raise ConfigError(f"{does}: leave {' '.join(others)} out.")
    if measures:
        _measure(comparison, rest)
    if measures or not runs:
        _report(folder)
    else:
        _run(folder, [*comparison.fixed, *rest], _given(only, "cells"), _given(only, "from"))


def _switch(words: Sequence[str], key: str, *, default: bool) -> bool:
    """Return what the one word of ``key`` says; ConfigError if it is not true or false."""
    yes, no = f"{key}=true", f"{key}=false"
    given = [word for word in words if word.startswith(f"{key}=")]
    if len(given) > 1 or {*given} - {yes, no}:
        raise ConfigError(f"{' '.join(given)} is not possible; it must be {yes} | {no}.")
    return given == [yes] if given else default


def _measure(comparison: Comparison, words: Sequence[str]) -> None:
    """Measure what a step costs, of each cell that another has not but for the seed."""
    from src.app.processes.process import begin_collecting, prepare_process, quiet_lightning

    prepare_process()  # as a training: how memory is reused decides half of the time on a CPU
    from omegaconf import OmegaConf

    from src.app.processes.user_errors import as_user_error
    from src.app.sweeps.cells import identity_of
    from src.commands.compare.cell import configs_of
    from src.commands.compare.costs import Kind, kind_of, measure_costs
    from src.commands.train.beginning import with_weights

    begin_collecting()
    quiet_lightning()
    jobs: dict[Kind, list[str]] = {}
    for levels, own in comparison.combinations():
        jobs.setdefault(kind_of(levels), [*comparison.fixed, *own, *words])
    configs, known = {}, {}
    for (kind, typed), cfg in zip(jobs.items(), configs_of([*jobs.values()]), strict=True):
        known[kind] = identity_of(cast("dict[str, Any]", OmegaConf.to_container(cfg)))
        configs[kind] = cfg if cfg.weights is None else with_weights(cfg, typed)
    try:
        measure_costs(comparison.folder, configs, known)
    except Exception as error:
        reason = as_user_error(error)
        if reason is None:
            raise
        raise reason from error


def _given(words: Sequence[str], key: str) -> list[str]:
    """Return the values of a key that are divided by commas."""
    values = (word.partition("=")[2] for word in words if word.startswith(f"{key}="))
    return [value for text in values for value in text.split(",") if value]


def _run(
    folder: Path, words: Sequence[str], only: Sequence[str], taken_from: Sequence[str]
) -> None:
    others = [str(Path(other).resolve()) for other in taken_from]
    sweep = [f"hydra.sweeper.folder={folder}", f"hydra.sweep.dir={folder / CELLS}"]
    sweep.append(f"hydra.sweeper.only=[{','.join(map(quoted, only))}]")
    sweep.append(f"hydra.sweeper.taken_from=[{','.join(map(quoted, others))}]")
    sys.argv[1:] = ["-m", "hydra/sweeper=cells", *sweep, "resume=auto", *words]
    refused = False
    try:
        launch("train", cell)
    except SystemExit as stop:
        refused = stop.code == EXIT_CONFIG  # no cell was begun, their list is an earlier one
        if stop.code == EXIT_INTERRUPT:
            print("The comparison goes on with the same command.", file=sys.stderr)
        raise
    finally:
        if not refused:
            _report(folder)


def _report(folder: Path) -> None:
    from src.commands.compare.report import write_report  # torch takes a second

    write_report(folder)


if __name__ == "__main__":
    main()
