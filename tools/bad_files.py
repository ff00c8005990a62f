"""Bad image files, folders, checkpoints and run folders, and what the message must say.

``python -m tools.bad_files`` prints them with the whole message, as a Markdown table.
"""

import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from src.weights.checkpoint_file import read
from tests.support.images import pixels, write, write_folder
from tests.support.runs import TINY, Finished, command, train_tiny

Prepare = Callable[[Path], object]


@dataclass(frozen=True)
class BadFile:
    """One bad input; ``{here}`` stands for a scratch folder, in which ``run`` is a trained run."""

    name: str  # what is wrong
    command: str  # ``train``, ``evaluate`` or ``predict``
    words: tuple[str, ...]  # what is typed
    says: tuple[str, ...]  # fragments that the message must hold
    prepare: Prepare = lambda here: None  # makes the bad input in the scratch folder
    code: int = 1  # exit status

    def run(self, here: Path) -> Finished:
        """Prepare the input, run the command, return how it ended."""
        self.prepare(here)
        return command(self.command, *(word.format(here=here) for word in self.words))


def _image(name: str, *says: str, make: Prepare, file: str = "a.png", code: int = 1) -> BadFile:
    words = ("checkpoint={here}/run", f"input={{here}}/in/{file}", "output={here}/out")
    return BadFile(name, "predict", words, says, lambda here: make(_folder(here) / file), code)


def _folder(here: Path) -> Path:
    (here / "in").mkdir()
    return here / "in"


def _scored(name: str, *says: str, make: Prepare, words: tuple[str, ...] = ()) -> BadFile:
    typed = ("checkpoint={here}/run", "output={here}/out", *words)
    return BadFile(name, "evaluate", typed, says, make)


def _resumed(name: str, *says: str, make: Prepare, code: int = 1) -> BadFile:
    return BadFile(name, "train", ("resume={here}/run",), says, make, code)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _damaged_png(path: Path) -> None:
    _cut(write(path, pixels(60, 80)))


def _frames(path: Path) -> None:
    frames = [Image.fromarray(pixels(seed=seed)) for seed in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def _changed(here: Path, change: Callable[[dict[str, object]], object]) -> None:
    for path in (here / "run/checkpoints").iterdir():
        content = read(path)
        change(content)
        torch.save(content, path)


def _each_checkpoint(change: Callable[[Path], object]) -> Prepare:
    return lambda here: [change(path) for path in (here / "run/checkpoints").iterdir()]


class _Code:
    def __reduce__(self) -> tuple[object, ...]:
        return (sys.exit, ("code ran",))


def _hostile(path: Path) -> None:
    path.write_bytes(pickle.dumps({"state_dict": _Code()}, protocol=2))


def _drop_tensor(content: dict[str, object]) -> None:
    weights = content["state_dict"]
    assert isinstance(weights, dict)
    del weights[next(iter(weights))]


def _own_words(*words: str) -> tuple[str, ...]:
    return (*TINY, "trainer.max_steps=1", "hydra.run.dir={here}/new", *words)


TRAIN_DIR = ("data=folder", "data.train_dir={here}/in", "data.val_dir=null")

IMAGES = [
    _image("text named .png", "is not an image", make=lambda path: path.write_text("hello")),
    _image("empty file", "is empty (0 bytes)", make=lambda path: path.touch()),
    _image("truncated PNG", "is damaged", make=_damaged_png),
    _image("animation", "holds 3 frames", make=_frames, file="a.gif"),
    _image(
        "floating-point TIFF",
        "unknown range",
        make=lambda path: Image.fromarray(np.ones((4, 6), np.float32)).save(path),
        file="a.tif",
    ),
    _image(
        "400 million pixels",
        "is too large",
        make=lambda path: Image.new("1", (20000, 20000)).save(path),
    ),
    _image("missing input", "no such file or folder", make=lambda path: None),
    _image("folder without images", "There is no image", make=lambda path: path.mkdir(), file="d"),
    BadFile(
        "results that exist",
        "predict",
        ("checkpoint={here}/run", "input={here}/in", "output={here}/out", "existing=refuse"),
        ("exist", "existing=skip"),
        lambda here: (write_folder(here / "in", 1), write_folder(here / "out", 1)),
    ),
    BadFile(
        "output that is a file",
        "predict",
        ("checkpoint={here}/run", "input={here}/in", "output={here}/out"),
        ("cannot be written", "another output folder"),
        lambda here: (write_folder(here / "in", 1), (here / "out").touch()),
    ),
    BadFile(
        "results over their own input",
        "predict",
        ("checkpoint={here}/run", "input={here}/in", "output={here}/in", "overwrite=true"),
        ("would replace its own input",),
        lambda here: write_folder(here / "in", 1),
    ),
]

FOLDERS = [
    BadFile(
        "training folder that is not there", "train", _own_words(*TRAIN_DIR), ("does not exist",)
    ),
    BadFile(
        "training folder without images",
        "train",
        _own_words(*TRAIN_DIR),
        ("There is no image under",),
        lambda here: (_folder(here) / "notes.txt").touch(),
    ),
    BadFile(
        "image smaller than a patch",
        "train",
        _own_words(*TRAIN_DIR),
        ("smaller than a training patch", "data.patch_size"),
        lambda here: write_folder(here / "in", 1, height=8),
    ),
    BadFile(
        "one broken image among good ones",
        "train",
        _own_words(*TRAIN_DIR),
        ("broken.png", "is not an image"),
        lambda here: (write_folder(here / "in", 2) / "broken.png").write_text("hello"),
    ),
    _scored(
        "benchmark folder that is not there",
        "does not exist",
        make=lambda here: None,
        words=("data=folder", "data.val_dir={here}/in"),
    ),
    _scored(
        "output of evaluate that is a file",
        "Results cannot be written",
        make=lambda here: (here / "out").touch(),
    ),
]

CHECKPOINTS = [
    _scored(
        "folder without a checkpoint",
        "no checkpoint there",
        make=lambda here: shutil.rmtree(here / "run/checkpoints"),
    ),
    _scored("truncated checkpoint", "damaged or truncated", make=_each_checkpoint(_cut)),
    _scored(
        "text named .ckpt",
        "refused",
        make=_each_checkpoint(lambda path: path.write_text("hello")),
    ),
    _scored("checkpoint that runs code", "could run code", make=_each_checkpoint(_hostile)),
    _scored(
        "checkpoint of another program",
        "not written by this project",
        make=lambda here: _changed(here, lambda content: content.pop("restoration")),
    ),
    _scored(
        "checkpoint that holds a list",
        "holds a list",
        make=_each_checkpoint(lambda path: torch.save([1], path)),
    ),
    _scored(
        "checkpoint without a tensor",
        "does not fit the network",
        "Missing key",
        make=lambda here: _changed(here, _drop_tensor),
    ),
]

RUNS = [
    _resumed(
        "run folder that is not there",
        "there is no such run folder",
        make=lambda here: shutil.rmtree(here / "run"),
        code=2,
    ),
    _resumed(
        "trained run whose checkpoints are gone",
        "there is no last.ckpt or previous.ckpt",
        "start a new run",
        make=lambda here: shutil.rmtree(here / "run/checkpoints"),
    ),
    _resumed(
        "run folder without config.yaml",
        "this is no run folder",
        make=lambda here: (here / "run/config.yaml").unlink(),
        code=2,
    ),
    _resumed(
        "damaged overrides.yaml",
        "restore it, or remove it",
        make=lambda here: (here / "run/overrides.yaml").write_text("{a: [1"),
        code=2,
    ),
    _resumed(
        "all checkpoints truncated",
        "no checkpoint is left to go on from",
        "Put back a copy",
        make=_each_checkpoint(_cut),
    ),
    BadFile(
        "folder that holds a run",
        "train",
        (*TINY, "trainer.max_steps=1", "hydra.run.dir={here}/run"),
        ("already holds a run", "resume="),
    ),
]

ALL = [*IMAGES, *FOLDERS, *CHECKPOINTS, *RUNS]


def main() -> None:
    """Print the table."""
    lines = ["| input | command | exit | message |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as name:
        train_tiny(Path(name) / "trained")
        for number, bad in enumerate(ALL):
            here = Path(name) / str(number)
            shutil.copytree(Path(name) / "trained", here / "run")
            done = bad.run(here)
            said = done.err[max(done.err.rfind("error: "), 0) :].strip()
            text = said.replace(str(here), "…").replace("|", "\\|").replace("\n", "<br>")
            lines.append(f"| {bad.name} | {bad.command} | {done.code} | {text} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
