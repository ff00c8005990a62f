"""What looks on while images are scored: signals, pictures, and progress bars."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from src.core.console import REMEMBERED_S
from src.core.paths import from_root
from src.data.image_io import write_png
from src.training.callbacks.pictures import panel, picture_name


class Preemptible(L.Callback):
    """Let SIGTERM do while images are scored what it did before Lightning took it.

    Lightning would wait for the end of the image, say nothing, and leave with status 0.
    """

    def __init__(self) -> None:
        self._before = signal.getsignal(signal.SIGTERM)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give the signal back; Lightning has just taken it."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)


class Pictures(L.Callback):
    """Write a panel an image, and one comparison of the first image.

    Args:
        folder: Where panels go, named ``<benchmark>_<key>.png``.
        keep: Whether panels are written.
        comparison: A file for input | restored | target of the first image; None for none.
    """

    def __init__(self, folder: Path, *, keep: bool, comparison: str | None) -> None:
        self.folder, self.keep = folder, keep
        self.comparison = None if comparison is None else from_root(comparison)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw what the task returned."""
        image = panel(*(outputs[name][0].cpu() for name in ("input", "restored", "target")))
        if self.keep:
            write_png(self.folder / picture_name(outputs["benchmark"], outputs["key"][0]), image)
        if self.comparison is not None and trainer.is_global_zero:
            width = image.shape[1] // 4
            write_png(self.comparison, image[:, : 3 * width])
            self.comparison = None


class ImageBar(L.Callback):
    """Move a bar to how many of how many images this process has scored, parts included."""

    def __init__(self, progress: Progress, bar: TaskID) -> None:
        self.progress, self.bar, self._done = progress, bar, 0

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin with nothing done."""
        self._done = 0
        self.progress.update(self.bar, completed=0, total=sum(trainer.num_test_batches))
        restorer = getattr(pl_module, "restorer", None)
        if restorer is not None:
            restorer.watcher = self._move

    def _move(self, part: float) -> None:
        self.progress.update(self.bar, completed=self._done + part)

    def on_test_batch_end(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Count one more."""
        self._done += 1
        self.progress.update(self.bar, completed=self._done)


class Bars:
    """Two progress bars: combinations, and the images of the present one.

    Args:
        console: Where; a terminal, or nothing is shown before the end.
        combinations: How many there are; the bar of one alone is not shown.
    """

    def __init__(self, console: Console, combinations: int) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._progress = Progress(
            *columns,
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=REMEMBERED_S,
        )
        self._begun = 0
        many = combinations > 1
        self._all = self._progress.add_task("Combinations", total=combinations, visible=many)
        self._images = self._progress.add_task("Scoring", total=None)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bars inside the block."""
        with self._progress:
            yield

    def begin(self, name: str) -> None:
        """Say that the combination ``name`` begins, and that those before it are done."""
        self._progress.update(self._all, completed=self._begun)
        self._progress.reset(self._images, description=name)
        self._begun += 1

    def images(self) -> ImageBar:
        """Return a callback that moves the bar of images."""
        return ImageBar(self._progress, self._images)
