"""Draw what the networks that come along do to photographs of ours: `python -m tools.zoo_picture`.

Four crops, before and after, with the PSNR of the whole image. None of the photographs was
trained on. Writes docs/images/zoo.jpg.
"""

from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from src import restore
from src.core.paths import ROOT
from src.core.seeding import generator_for
from src.data.image_io import read_image, to_image, to_tensor
from src.degradations.bicubic import Bicubic
from src.degradations.gaussian import GaussianNoise
from src.degradations.jpeg import Jpeg
from src.degradations.mosaic import Mosaic
from src.metrics.psnr import psnr
from src.ops.resize import upscale

SIDE, EDGE, LINE, GAP = 128, 256, 26, 8  # pixels: of a crop, of a tile, of the words, between
TARGET = ROOT / "docs" / "images" / "zoo.jpg"


@dataclass(frozen=True)
class Scene:
    """A photograph, what is done to it, and which part is drawn."""

    words: str
    photograph: str
    degradation: nn.Module
    task: str
    corner: tuple[int, int]  # left, top
    scale: int | None = None


SCENES = (
    Scene(
        "exemplar denoise (noise of 50)",
        "astronaut",
        GaussianNoise(sigma=(50, 50)),
        "denoise",
        (165, 60),
    ),
    Scene("exemplar dejpeg (quality 10)", "chelsea", Jpeg(quality=(10, 10)), "dejpeg", (100, 60)),
    Scene("exemplar demosaic", "raccoon", Mosaic(), "demosaic", (560, 200)),
    Scene(
        "exemplar upscale --scale 4", "coffee", Bicubic(scale=4), "super_resolution", (230, 150), 4
    ),
)


def before_and_after(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Return the clean image, what the network gets at the clean one's size, and what it makes."""
    path = ROOT / "src" / "data" / "photographs" / f"{scene.photograph}.webp"
    clean = to_tensor(read_image(path, channels=3))[None]
    clean = clean[..., : clean.shape[-2] // 12 * 12, : clean.shape[-1] // 12 * 12]
    with torch.inference_mode():
        seen = scene.degradation(clean, generator_for("cpu", 0))
        after = restore(seen, scene.task, scale=scene.scale)
        before = upscale(seen, scene.scale) if scene.scale else seen
    assert isinstance(after, Tensor)
    return clean, before, after


def tiles(scene: Scene) -> Image.Image:
    """Return the crop before and after, side by side, over one line of words."""
    clean, before, after = before_and_after(scene)
    canvas = Image.new("RGB", (2 * EDGE, EDGE + LINE), "white")
    left, top = scene.corner
    for place, image in enumerate((before, after)):
        crop = Image.fromarray(to_image(image[0].clamp(0, 1))).crop(
            (left, top, left + SIDE, top + SIDE)
        )
        canvas.paste(crop.resize((EDGE, EDGE), Image.Resampling.NEAREST), (place * EDGE, 0))
    gains = [float(psnr(image.clamp(0, 1), clean).mean()) for image in (before, after)]
    words = f"{scene.words}: {gains[0]:.2f} to {gains[1]:.2f} dB"
    font = ImageFont.load_default(17)
    ImageDraw.Draw(canvas).text((4, EDGE + 2), words, fill="black", font=font)
    return canvas


def main() -> None:
    """Draw all scenes, two by two."""
    drawn = [tiles(scene) for scene in SCENES]
    width, height = drawn[0].size
    sheet = Image.new("RGB", (2 * width + GAP, 2 * height), "white")
    for number, picture in enumerate(drawn):
        sheet.paste(picture, (number % 2 * (width + GAP), number // 2 * height))
    sheet.save(TARGET, quality=88)


if __name__ == "__main__":
    main()
