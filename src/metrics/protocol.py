"""The evaluation protocol: everything between a network's output and a metric."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from src.ops.color import LUMA, LUMA_SLIP, grey_level, luma
from src.ops.pillow import resample_to_multiple
from src.ops.resize import mod_crop


def quantize8(image: Tensor) -> Tensor:
    """Round and clip an image in [0, 1] to 8 bits, as saving a PNG would; still float in [0, 1]."""
    return (image.clamp(0, 1) * 255).round() / 255


_LUMA = {"bt601": LUMA, "bt601_slip": LUMA_SLIP}
_SPOKEN = {"rgb": "RGB", "y": "Y", "y_or_grey": "Y (grey images as they are)"}


@dataclass(frozen=True)
class Protocol:
    """The steps between a network's output and a metric, in the order in which they run.

    Attributes:
        name: What results are labelled with; scores of different protocols are not comparable.
        version: Raised whenever a step changes.
        input_8bit: Whether the degraded input is an 8-bit image (rounded and clipped).
        quantize: Round and clip the restored image to 8 bits.
        border: Pixels cut from each edge; papers use the scale for super-resolution.
        channels: ``rgb`` scores all channels as they are; ``y`` scores BT.601 luma only, in 16 to
            235; ``y_or_grey`` does so but for grey targets, which it scores as they are, in 0 to
            255.
        multiple: How a target gets sides that are multiples of the scale: ``cut`` takes off the
            last rows and columns, ``resample`` shrinks the image by Pillow's bicubic rule.
        clip: Clip the restored image to [0, 1] where it is not rounded.
        luma: Weights of red, green and blue: ``bt601``, MATLAB's, or ``bt601_slip``, with a slip
            for red that some published scores contain.
    """

    name: str
    version: int = 1
    input_8bit: bool = True
    quantize: bool = True
    border: int = 0
    channels: Literal["rgb", "y", "y_or_grey"] = "rgb"
    multiple: Literal["cut", "resample"] = "cut"
    luma: Literal["bt601", "bt601_slip"] = "bt601"
    clip: bool = False

    def fit(self, target: Float[Tensor, "b c h w"], scale: int) -> Float[Tensor, "b c h2 w2"]:
        """Return whole images with sides that are multiples of ``scale``.

        Raises:
            ValueError: If nothing would be left.
        """
        return (mod_crop if self.multiple == "cut" else resample_to_multiple)(target, scale)

    def luma_of(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Return the luma of RGB in [0, 1], not rounded; an image of one channel is its luma."""
        return image if image.shape[1] == 1 else luma(image, _LUMA[self.luma])

    def prepare(
        self, image: Float[Tensor, "b c h w"], grey: Bool[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b c2 h2 w2"]:
        """Return the part of ``image`` that is scored, as float64 in [0, 1].

        Args:
            image: Restored images, or targets.
            grey: Which of the targets count as grey; None is none.
        """
        image = image.double()
        if self.quantize:
            image = quantize8(image)
        elif self.clip:
            image = image.clamp(0, 1)
        if self.border:
            image = image[..., self.border : -self.border, self.border : -self.border]
        if self.channels == "rgb" or image.shape[1] != 3:
            return image
        if self.channels == "y" or grey is None:
            return self.luma_of(image)
        return torch.where(grey.view(-1, 1, 1, 1), grey_level(image), self.luma_of(image))

    def as_dict(self) -> dict[str, Any]:
        """Return all steps by name, for records."""
        return asdict(self)

    def __str__(self) -> str:
        depth = "8-bit input" if self.input_8bit else "float input"
        output = "output rounded to 8 bits" if self.quantize else "output not rounded"
        output += ", clipped" if self.clip and not self.quantize else ""
        sides = "" if self.multiple == "cut" else "sides resampled to multiples, "
        weights = "" if self.luma == "bt601" else f" ({self.luma})"
        return (
            f"{self.name} v{self.version}: {depth}, {output}, {sides}"
            f"border {self.border} px, {_SPOKEN[self.channels]}{weights}, mean over images"
        )
