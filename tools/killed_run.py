"""A training that is killed and resumed again and again; each kill is looked into."""

import json
import os
import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from src.core.errors import CheckpointError
from src.weights.checkpoint import open_checkpoint
from src.weights.checkpoint_file import check_whole
from tools.killing import PATIENCE_S, launch, shoot

INTERVAL = 5
"""Steps between two checkpoints."""

TRAINING = (
    *("model=panet_tiny", "model.blocks=4", "model.channels=16", "task=denoise"),
    *("data=synthetic", "data.batch_size=4", "data.patch_size=16", "data.cache=off"),
    *("callbacks=[default,ema]", f"callbacks.checkpoint_last.every_n_steps={INTERVAL}"),
    *("trainer.log_every_n_steps=1", f"trainer.val_check_interval={4 * INTERVAL}"),
    *("+logger.csv.flush_logs_every_n_steps=1", "optimizer.lr=1e-3", "optimizer=adamw"),
)
"""Tiny, with all that a long run has: moving average, validation, pictures, best checkpoint."""

STEPS_PER_KILL = 16  # so many that the run does not end before the last kill

LAST = "checkpoints/last.ckpt"


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it."""

    number: int  # from 1
    aim: str  # which moment was waited for: ``start`` (of the process), ``step`` or ``write``
    victim: str  # ``all`` processes, ``rank 0``, ``rank 1``, or their ``launcher``
    began: int  # step that this start of the run began from; -1 where it was killed before
    after_s: float  # seconds after the start of the process
    step: int  # steps done and logged when it was killed
    in_write: bool  # whether a half-written file was left
    saved: int  # step of the checkpoint that the next start goes on from; -1 where there is none
    fault: str = ""  # what was wrong afterwards, "" for nothing

    @property
    def lost(self) -> int:
        """Steps that have to be done again."""
        return max(0, self.step - max(0, self.saved))


class KilledRun:
    """The run in ``folder``, of ``kills`` kills; the moments follow from ``seed``."""

    def __init__(self, folder: Path, *, kills: int, seed: int, processes: int) -> None:
        self.folder, self.kills, self.seed, self.processes = folder, kills, seed, processes
        self.steps = STEPS_PER_KILL * kills + 40

    def words(self, folder: Path) -> tuple[str, ...]:
        """Return what is typed to start the run in ``folder``."""
        several = ("trainer=ddp_cpu", "data.workers=0")
        alone = ("trainer=cpu", "data.workers=1")
        place = (f"trainer.max_steps={self.steps}", f"hydra.run.dir={folder}")
        return (*TRAINING, *(several if self.processes > 1 else alone), *place)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the run, or go on with it, as a user does."""
        return launch(*([f"resume={self.folder}"] if self._begun() else self.words(self.folder)))

    def _begun(self) -> bool:
        return (self.folder / "config.yaml").is_file()

    def kill(self, number: int) -> Kill:
        """Start the run, kill it at a random moment, and look at what is left."""
        dice = random.Random(f"{self.seed}-{number}")  # noqa: S311
        aim = dice.choices(("start", "step", "write"), (2, 3, 5))[0]
        victims = ("all",) if self.processes == 1 else ("all", "rank 0", "rank 1", "launcher")
        victim = "all" if aim == "start" else dice.choice(victims)
        before, starts = self._files(), self._starts()
        began_at = time.monotonic()
        process = self.start()
        moment = {"start": self._in_start, "step": self._at_step, "write": self._in_write}[aim]
        fault = "" if _wait(process, moment(dice)) else _ended_alone(process)
        time.sleep(dice.uniform(0, 0.004 if aim == "write" else 0.03))
        after = time.monotonic() - began_at
        left = shoot(process, victim)
        if left:
            fault = fault or f"processes outlived it: {left}"
        missing = self._missing(before)
        torn = [path for path in self.folder.rglob(".*.tmp*") if path not in before]
        news = self._starts()
        began = news[-1] if len(news) > len(starts) else -1
        return Kill(
            *(number, aim, victim, began, round(after, 2), self._logged(), bool(torn)),
            saved=self.saved(),
            fault=fault or missing,
        )

    def saved(self) -> int:
        """Return the step of the last checkpoint, whose checksums are compared; -1 if none."""
        path = self.folder / LAST
        try:
            return open_checkpoint(path).step if path.is_file() else -1
        except CheckpointError:
            return -1  # said as a fault

    def _in_start(self, dice: random.Random) -> Callable[[], bool]:
        end = time.monotonic() + dice.uniform(0, 8)
        return lambda: time.monotonic() > end

    def _at_step(self, dice: random.Random) -> Callable[[], bool]:
        step, starts = max(0, self.saved()) + dice.randint(1, 3 * INTERVAL), len(self._starts())
        begun = self._begun()

        def reached() -> bool:  # before a resume has cut them, there are rows of the last start
            time.sleep(0.003)
            goes_on = not begun or len(self._starts()) > starts
            return goes_on and self._logged() >= step

        return reached

    def _in_write(self, dice: random.Random) -> Callable[[], bool]:
        """Wait for one of the next writes of a checkpoint, by its temporary file."""
        wanted, seen = dice.randint(1, 3), set[str]()
        folder = str(self.folder / "checkpoints")

        def writing() -> bool:
            try:
                with os.scandir(folder) as entries:
                    seen.update(entry.name for entry in entries if ".tmp" in entry.name)
            except OSError:
                return False
            return len(seen) >= wanted

        writing()
        wanted += len(seen)  # left by the last kill
        return writing

    def _logged(self) -> int:
        """Return how many steps have rows on disk."""
        try:
            content = (self.folder / "metrics.csv").read_text()
        except OSError:
            return 0
        header, _, rows = content.partition("\n")
        whole = rows[: rows.rfind("\n")].rpartition("\n")[2]
        row = dict(zip(header.strip().split(","), whole.strip().split(","), strict=False))
        return int(row["step"]) + 1 if row.get("step") else 0

    def _starts(self) -> list[int]:
        path = self.folder / "resumed.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [json.loads(line)["step"] for line in lines]

    def _files(self) -> set[Path]:
        return {path for path in self.folder.rglob("*") if path.is_file()}

    def _missing(self, before: set[Path]) -> str:
        """Return what was there before and is not now, or cannot be read; "" for nothing."""
        passing = {path for path in before if path.name.startswith(".")}
        ranks = {path for path in before if path.parent.name == "processes"}
        gone = before - self._files() - passing - ranks
        if gone:
            return f"lost: {', '.join(sorted(path.name for path in gone))}"
        for path in sorted((self.folder / "checkpoints").glob("[!.]*.ckpt")):
            try:
                check_whole(path)
            except CheckpointError as error:
                return str(error)
        return ""


def _wait(process: subprocess.Popen[bytes], moment: Callable[[], bool]) -> bool:
    """Wait for the moment; say whether it came while the process was running."""
    end = time.monotonic() + PATIENCE_S
    while not moment():
        if process.poll() is not None or time.monotonic() > end:
            return False
        time.sleep(0.0005)
    return process.poll() is None


def _ended_alone(process: subprocess.Popen[bytes]) -> str:
    if process.poll() is None:
        return f"the moment did not come in {PATIENCE_S:.0f} s"
    assert process.stderr is not None
    said = process.stderr.read().decode(errors="replace").strip().splitlines()
    return f"ended by itself with {process.returncode}: {' '.join(said[-3:])}"
