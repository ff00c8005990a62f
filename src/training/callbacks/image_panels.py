"""Pictures of every validation: input | restored | target | error ×5."""

from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from src.core.files import fitting_name
from src.data.image_io import to_image, write_png
from src.training.callbacks.media import media_loggers, media_step

ERROR_GAIN = 5
CAPTION = f"input | restored | target | error ×{ERROR_GAIN}"


def panel(degraded: Tensor, restored: Tensor, target: Tensor) -> NDArray[np.uint8]:
    """Return (H, 4·W, 3) uint8 of (C, H, W) images in [0, 1]; the last part is the error ×5."""
    error = (restored.clamp(0, 1) - target).abs() * ERROR_GAIN
    strip = torch.cat([degraded, restored, target, error], dim=2)
    return to_image(strip.expand(3, -1, -1) if strip.shape[0] == 1 else strip)


def picture_name(*parts: str) -> str:
    """Return the file name of a picture of ``parts``, such as a benchmark and an image's key."""
    return fitting_name(f"{'_'.join(parts)}.png".replace("/", "_"))


class ImagePanels(L.Callback):
    """Write a PNG for each of the first images of each benchmark; loggers that can, show it too.

    Args:
        dirpath: Folder; files are ``step_<step>/<benchmark>_<key>.png``.
        limit: Images of each benchmark.
    """

    def __init__(self, dirpath: str | Path, *, limit: int = 4) -> None:
        self.dirpath, self.limit = Path(dirpath), limit

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the images that the task returned."""
        if batch_idx >= self.limit:
            return
        for key, degraded, restored, target in zip(
            outputs["key"],
            outputs["input"].cpu(),
            outputs["restored"].cpu(),
            outputs["target"].cpu(),
            strict=True,
        ):
            file = picture_name(outputs["benchmark"], key)
            image = panel(degraded, restored, target)
            write_png(self.dirpath / f"step_{trainer.global_step:07d}" / file, image)
            for logger in media_loggers(trainer):
                logger.log_picture(
                    f"images/{Path(file).stem}",
                    image,
                    caption=CAPTION,
                    step=media_step(trainer),
                )
