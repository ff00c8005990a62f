"""What looks on while images are scored: pictures, and progress bars."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812

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


class ImageCount(L.Callback):
    """Say how many of how many images are scored.

    Args:
        said: Called with (done, total), of this process.
    """

    def __init__(self, said: Callable[[int, int], None]) -> None:
        self.said, self._done = said, 0

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count from nothing."""
        self._done = 0
        self.said(0, self._total(trainer))

    def on_test_batch_end(self, trainer: L.Trainer, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Count one more."""
        self._done += 1
        self.said(self._done, self._total(trainer))

    @staticmethod
    def _total(trainer: L.Trainer) -> int:
        return int(sum(trainer.num_test_batches))
