"""Kills one training again and again at random moments; afterwards nothing may be missing.

``python -m tools.kill_experiment --folder outputs/killed`` does 50 kills, prints a table
and exits with 0 if no file was lost, no resume failed, no kill cost more than one interval between
checkpoints, and the run ended in the bits of one that nothing happened to. With ``--seconds`` it
stops early with status 75; the same command goes on. ``--processes 2`` kills one of two processes,
both, or the one that has started them.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from src.core.origin import commit, hardware
from src.weights.checkpoint_file import read
from tests.support.compare import assert_same, rows
from tools.killed_run import INTERVAL, LAST, Kill, KilledRun
from tools.killing import launch

UNFINISHED = 75
"""Exit status where the time was up: EX_TEMPFAIL of sysexits.h."""


@dataclass(frozen=True)
class Verdict:
    """What the experiment shows, beside its kills."""

    lost_files: int  # kills after which a file was missing or damaged, or a process lived on
    failed_resumes: int  # starts that ended by themselves
    worst_loss: int  # most steps that one kill cost
    differences: tuple[str, ...]  # what differs from the run that was not interrupted
    leftovers: int  # half-written files at the end

    @property
    def holds(self) -> bool:
        """Whether nothing was lost."""
        wrong = self.lost_files or self.failed_resumes or self.differences or self.leftovers
        return not wrong and self.worst_loss <= INTERVAL


def experiment(run: KilledRun, seconds: float) -> tuple[list[Kill], Verdict | None]:
    """Do the kills that are left, then finish the run and compare; None where time was up."""
    end = time.monotonic() + seconds
    state = run.folder.with_name(f"{run.folder.name}_kills.json")
    kills = [Kill(**kill) for kill in json.loads(state.read_text())] if state.is_file() else []
    while len(kills) < run.kills:
        if time.monotonic() > end:
            return kills, None
        kills.append(run.kill(len(kills) + 1))
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_text(json.dumps([asdict(kill) for kill in kills]))
    whole = run.folder.with_name(f"{run.folder.name}_whole")
    for folder, words in ((run.folder, [f"resume={run.folder}"]), (whole, run.words(whole))):
        if folder == whole and time.monotonic() > end:
            return kills, None
        if _step(folder) < run.steps:
            said = launch(*words).communicate()[1].decode(errors="replace")
            if _step(folder) < run.steps:
                sys.stderr.write(said)
    return kills, _verdict(run, kills, whole)


def _step(folder: Path) -> int:
    path = folder / LAST
    return int(read(path)["global_step"]) if path.is_file() else -1


def _verdict(run: KilledRun, kills: Sequence[Kill], whole: Path) -> Verdict:
    faults = [kill.fault for kill in kills if kill.fault]
    failed = [fault for fault in faults if fault.startswith("ended by itself")]
    return Verdict(
        lost_files=len(faults) - len(failed),
        failed_resumes=len(failed) + (_step(run.folder) < run.steps),
        worst_loss=max(kill.lost for kill in kills),
        differences=tuple(differences(run.folder, whole)),
        leftovers=len([*run.folder.rglob(".*.tmp*")]),
    )


def differences(killed: Path, whole: Path) -> list[str]:
    """Return what is not the same in two runs; [] where nothing is."""
    found = []
    try:
        assert_same(killed, whole)
    except AssertionError as error:
        found.append(f"last.ckpt: {error}")
    if rows(killed) != rows(whole):
        found.append("metrics.csv")
    for name in ("state_dict", "global_step"):
        one, other = (read(folder / "checkpoints/best.ckpt")[name] for folder in (killed, whole))
        if str(one) != str(other):
            found.append(f"best.ckpt: {name}")
    pictures = [
        {path.relative_to(folder): path.read_bytes() for path in folder.glob("images/**/*.png")}
        for folder in (killed, whole)
    ]
    if pictures[0] != pictures[1] or not pictures[0]:
        found.append("images")
    return found


def table(kills: Sequence[Kill]) -> str:
    """Return the kills as a Markdown table."""
    lines = [
        "| kill | moment | victim | after | steps done | in a write | resumed from | lost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kill in kills:
        goes_on = "the start" if kill.saved < 0 else str(kill.saved)
        lines.append(
            f"| {kill.number} | {kill.aim} | {kill.victim} | {kill.after_s:.1f} s | {kill.step} | "
            f"{'yes' if kill.in_write else 'no'} | {goes_on} | {kill.lost} |"
            + (f" **{kill.fault}**" if kill.fault else "")
        )
    return "\n".join(lines)


def summary(run: KilledRun, kills: Sequence[Kill], verdict: Verdict) -> str:
    """Return the result in a few lines."""
    torn = sum(kill.in_write for kill in kills)
    same = "identical" if not verdict.differences else f"DIFFERENT: {verdict.differences}"
    return (
        f"{len(kills)} kills, {torn} of them left a half-written file; {run.steps} steps, "
        f"a checkpoint every {INTERVAL}; processes: {run.processes}.\n"
        f"Files lost: {verdict.lost_files}. Resumes that failed: {verdict.failed_resumes}. "
        f"Most steps lost by a kill: {verdict.worst_loss}. "
        f"Half-written files at the end: {verdict.leftovers}.\n"
        f"Weights, optimizer, schedule, averages, metrics.csv, best.ckpt and pictures against the "
        f"run without a kill: {same}."
    )


def main() -> None:
    """Read the options, do the experiment, print and record it."""
    parser = argparse.ArgumentParser(prog="python -m tools.kill_experiment")
    parser.add_argument("--folder", type=Path, required=True, help="of the run; made anew")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--record", type=Path, help="file without suffix, for .md and .json")
    given = parser.parse_args()
    run = KilledRun(
        given.folder.resolve(), kills=given.kills, seed=given.seed, processes=given.processes
    )
    kills, verdict = experiment(run, given.seconds)
    sys.stdout.write(table(kills) + "\n\n")
    if verdict is None:
        sys.stdout.write("Time is up; the same command goes on.\n")
        sys.exit(UNFINISHED)
    text = summary(run, kills, verdict)
    sys.stdout.write(text + "\n")
    if given.record is not None:
        _record(given.record, run, kills, verdict)
    sys.exit(0 if verdict.holds else 1)


def _record(path: Path, run: KilledRun, kills: Sequence[Kill], verdict: Verdict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "hardware": hardware(),
        "seed": run.seed,
        "processes": run.processes,
        "steps": run.steps,
        "interval": INTERVAL,
        "holds": verdict.holds,
        "verdict": asdict(verdict),
        "kills": [asdict(kill) for kill in kills],
    }
    path.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
    path.with_suffix(".md").write_text(f"{summary(run, kills, verdict)}\n\n{table(kills)}\n")


if __name__ == "__main__":
    main()
