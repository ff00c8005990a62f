"""What validations show beside numbers: panels, attention maps and tables of scores.

Pictures are files in the run folder; loggers that can show pictures and tables get them too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor

from src.core.files import fitting_name
from src.data.image_io import to_image, write_png
from src.inference.attention_maps import attention_maps
from src.inference.attention_picture import CAPTION, draw_attention
from src.metrics.scoreboard import Scoreboard
from src.training.callbacks.non_finite_guard import Repeatable

Cell = str | int | float

ERROR_GAIN = 5


@runtime_checkable
class MediaLogger(Protocol):
    """A logger for pictures and tables, such as those of ``src/training/loggers``.

    A logger from elsewhere that has these two methods is given media too.
    """

    def log_picture(self, key: str, picture: NDArray[np.uint8], *, caption: str, step: int) -> None:
        """Show an (H, W, 3) picture under ``key``."""
        ...

    def log_scores(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, step: int
    ) -> None:
        """Show a table of scores under ``key``."""
        ...


@runtime_checkable
class Scored(Protocol):
    """A task that keeps the scores of its last validation."""

    scoreboards: dict[str, Scoreboard]  # benchmark → scores, gathered from all processes


def media_loggers(trainer: Trainer) -> Iterator[MediaLogger]:
    """Yield the loggers of ``trainer`` that take pictures and tables."""
    return (logger for logger in trainer.loggers if isinstance(logger, MediaLogger))


def media_step(trainer: Trainer) -> int:
    """Return the step under which Lightning logs the scores of a validation that runs now.

    It counts from 0: what the first step has led to is logged under 0.
    """
    return max(0, trainer.global_step - 1)


def panel(degraded: Tensor, restored: Tensor, target: Tensor) -> NDArray[np.uint8]:
    """Return (H, 4·W, 3) uint8 of (C, H, W) images in [0, 1]; the last part is the error ×5."""
    error = (restored.clamp(0, 1) - target).abs() * ERROR_GAIN
    strip = torch.cat([degraded, restored, target, error], dim=2)
    return to_image(strip.expand(3, -1, -1) if strip.shape[0] == 1 else strip)


def picture_name(*parts: str) -> str:
    """Return the file name of a picture of ``parts``, such as a benchmark and an image's key."""
    return fitting_name(f"{'_'.join(parts)}.png".replace("/", "_"))


@dataclass(eq=False)
class Pictures(Callback):
    """Draw the first images of each benchmark, in files and in the loggers that show pictures.

    Args:
        dirpath: Folder; files are ``step_<step>/<name>``.
        limit: Images of each benchmark.
    """

    section: ClassVar[str]
    caption: ClassVar[str]
    dirpath: str | Path
    _: KW_ONLY
    limit: int = 4

    def draw(
        self, task: LightningModule, outputs: Any, batch: Any
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield file name and picture of each image that the task has just scored."""
        raise NotImplementedError

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw, write and show."""
        if batch_idx >= self.limit:
            return
        folder = Path(self.dirpath) / f"step_{trainer.global_step:07d}"
        step = media_step(trainer)
        for file, picture in self.draw(pl_module, outputs, batch):
            write_png(folder / file, picture)
            for logger in media_loggers(trainer):
                key = f"{self.section}/{Path(file).stem}"
                logger.log_picture(key, picture, caption=self.caption, step=step)


class ImagePanels(Pictures):
    """Show input | restored | target | error ×5 of the first images of each benchmark.

    Args:
        dirpath: Folder; files are ``step_<step>/<benchmark>_<key>.png``.
        limit: Images of each benchmark.
    """

    section, caption = "images", f"input | restored | target | error ×{ERROR_GAIN}"

    def draw(
        self, task: LightningModule, outputs: Any, batch: Any
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Draw the images that the task returned."""
        images = (outputs[name].cpu() for name in ("input", "restored", "target"))
        for key, *parts in zip(outputs["key"], *images, strict=True):
            yield picture_name(outputs["benchmark"], key), panel(*parts)


@dataclass(eq=False)
class AttentionMaps(Pictures):
    """Draw what each attention block looks at for the middle pixel of the first validation images.

    The network sees the middle of the image only. Blocks without a map, such as channel attention,
    are passed over. Costs one small forward pass an image.

    Args:
        dirpath: Folder; files are ``step_<step>/<benchmark>_<key>_<block>.png``.
        limit: Images of each benchmark.
        size: Side of the middle part in pixels of the network's input.

    Raises:
        ValueError: If ``size`` is below 8.
    """

    section, caption = "attention", CAPTION

    _: KW_ONLY
    limit: int = 1
    size: int = 64

    def __post_init__(self) -> None:
        if self.size < 8:
            raise ValueError(f"size={self.size}; a map needs at least 8 pixels a side, e.g. 64.")

    def draw(
        self, task: LightningModule, outputs: Any, batch: Any
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Degrade the image again, which gives the same input, and draw the maps."""
        if not isinstance(task, Repeatable):
            return
        degraded = task.net_input(task.degrade(batch))[:1]
        middle = middle_of(degraded, self.size, getattr(task.net, "multiple_of", 1))
        row, column = (side // 2 for side in middle.shape[-2:])
        for attention in attention_maps(task.net, middle, row, column):
            file = picture_name(outputs["benchmark"], outputs["key"][0], attention.block)
            yield file, draw_attention([(middle, attention)])


def middle_of(image: Tensor, size: int, multiple_of: int) -> Tensor:
    """Return the middle: at most ``size`` a side, a multiple of what the network takes."""
    cut = image
    for axis in (2, 3):
        side = min(size, image.shape[axis]) // multiple_of * multiple_of
        cut = cut.narrow(axis, (image.shape[axis] - side) // 2, side)
    return cut


class ScoreTables(Callback):
    """Log the scores of every image as the table ``val/scores`` at the end of each validation."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand the rows of all benchmarks to the loggers that show tables."""
        boards = pl_module.scoreboards if isinstance(pl_module, Scored) else {}
        if trainer.sanity_checking or not boards:
            return
        columns, rows = score_rows(boards)
        for logger in media_loggers(trainer):
            logger.log_scores("val/scores", columns, rows, step=media_step(trainer))


def score_rows(boards: Mapping[str, Scoreboard]) -> tuple[list[str], list[list[Cell]]]:
    """Return the columns and one row an image: each metric of the input, the output, the gain."""
    first = next(iter(boards.values()))
    metrics = list(next(iter(first.restored.values())))
    columns = ["benchmark", "image"]
    for metric in metrics:
        columns += [f"{metric}_input", metric, f"{metric}_gain"]
    rows: list[list[Cell]] = []
    for benchmark, board in boards.items():
        for key, after in board.restored.items():
            before = board.baseline[key]
            row: list[Cell] = [benchmark, key]
            for metric in metrics:
                row += [before[metric], after[metric], after[metric] - before[metric]]
            rows.append(row)
    return columns, rows
