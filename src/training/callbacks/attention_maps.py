"""Pictures of where the attention looks, after each validation."""

from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812
from torch import Tensor

from src.data.image_io import to_image, write_png
from src.inference.attention_maps import attention_maps
from src.inference.attention_picture import CAPTION, draw_attention
from src.training.callbacks.image_panels import picture_name
from src.training.callbacks.media import media_loggers, media_step
from src.training.callbacks.non_finite_guard import Repeatable


class AttentionMaps(L.Callback):
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

    def __init__(self, dirpath: str | Path, *, limit: int = 1, size: int = 64) -> None:
        if size < 8:
            raise ValueError(f"size={size}; a map needs at least 8 pixels a side, e.g. 64.")
        self.dirpath, self.limit, self.size = Path(dirpath), limit, size

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Degrade the image again, which gives the same input, and draw the maps."""
        if batch_idx >= self.limit or not isinstance(pl_module, Repeatable):
            return
        degraded = pl_module.net_input(pl_module.degrade(batch))[:1]
        middle = _middle(degraded, self.size, getattr(pl_module.net, "multiple_of", 1))
        row, column = (side // 2 for side in middle.shape[-2:])
        image = middle[0, :3] if middle.shape[1] >= 3 else middle[0, :1]
        for attention in attention_maps(pl_module.net, middle, row, column):
            picture = to_image(draw_attention(image, attention))
            file = picture_name(outputs["benchmark"], outputs["key"][0], attention.block)
            folder = self.dirpath / f"step_{trainer.global_step:07d}"
            write_png(folder / file, picture)
            for logger in media_loggers(trainer):
                logger.log_picture(
                    f"attention/{Path(file).stem}",
                    picture,
                    caption=CAPTION,
                    step=media_step(trainer),
                )


def _middle(image: Tensor, size: int, multiple_of: int) -> Tensor:
    """Cut the middle out: at most ``size`` a side, a multiple of what the network takes."""
    cut = image
    for axis in (2, 3):
        side = min(size, image.shape[axis]) // multiple_of * multiple_of
        cut = cut.narrow(axis, (image.shape[axis] - side) // 2, side)
    return cut
