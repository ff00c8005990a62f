"""Runs the real commands for tests: in this process, or as a process of their own."""

import importlib
import io
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from torch import Tensor

from src.core.paths import ROOT
from src.weights.checkpoint_file import read

TINY = (
    "model=panet_tiny",
    "model.blocks=2",
    "model.channels=8",
    "data=synthetic",
    "data.batch_size=4",
    "data.patch_size=16",
    "data.workers=0",
    "data.cache=off",
    "trainer=cpu",
    "trainer.log_every_n_steps=1",
    "callbacks.checkpoint_last.every_n_steps=1",
)
"""A run that takes a second or two, and writes all that a long one writes."""


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit status and what it said.

    Attributes:
        code: Exit status.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: str
    err: str


def command(name: str, *words: str) -> Finished:
    """Run ``python -m src.<name> <words>`` in this process, which spares the imports."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with _as_a_process(f"src.{name}", words), redirect_stdout(out), redirect_stderr(err):
        try:
            importlib.import_module(f"src.{name}").main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Finished(code, out.getvalue(), err.getvalue())


def train_tiny(folder: Path, *words: str, steps: int = 2) -> Finished:
    """Train the tiny network into ``folder`` for ``steps`` optimizer steps, validating at the end.

    Raises:
        AssertionError: If it fails, with what it said.
    """
    length = (f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}")
    done = command("train", *TINY, *length, f"hydra.run.dir={folder}", *words)
    assert done.code == 0, done.err
    return done


def trained_weights(folder: Path, *words: str, steps: int) -> dict[str, Tensor]:
    """Train into ``folder`` up to ``steps``, validating each step; return the last checkpoint's.

    Raises:
        AssertionError: If it fails, with what it said.
    """
    length = (f"trainer.max_steps={steps}", "trainer.val_check_interval=1")
    done = command("train", *words, *length, f"hydra.run.dir={folder}")
    assert done.code == 0, done.err
    weights: dict[str, Tensor] = read(folder / "checkpoints/last.ckpt")["state_dict"]
    return weights


def python(checkout: Path, *words: str) -> str:
    """Run Python in a checkout, one thread, to a good end; return what it has printed."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def process(name: str, *words: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
    """Start ``python -m src.<name> <words>`` as a process, one thread, its output kept."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", f"src.{name}", *words],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def _as_a_process(program: str, words: Sequence[str]) -> Iterator[None]:
    """Give a command its own arguments, and undo what it does to the process around it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with (
        mock.patch.object(sys, "argv", [program, *words]),
        mock.patch.dict(os.environ),
        warnings.catch_warnings(),
    ):
        yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.handlers, root.level = handlers, level
