"""What a visitor may choose from and ask for, and which photographs are accepted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from src.app.restoration import Restoration, restoration
from src.core.errors import ConfigError, ImageFileError
from src.data.image_file import opened
from src.data.photograph import Photograph, read_photograph
from src.data.photograph_writing import kind_of
from src.inference.attention_maps import shown_blocks
from src.inference.restorer import Restorer, takes_noise_level
from src.weights.checkpoint import Checkpoint
from src.weights.zoo import result_ending

_PURPOSES = {
    "denoise": "Remove noise",
    "dejpeg": "Remove JPEG artefacts",
    "demosaic": "Make colours of a Bayer mosaic",
    "superresolution": "Enlarge",
}


@dataclass(frozen=True)
class Offer:
    """A network that photographs can go through."""

    name: str  # as ``checkpoint=`` has it
    checkpoint: Checkpoint  # where the network comes from
    restorer: Restorer  # the network with tiles and ensemble; one photograph at a time
    way: Restoration  # how a photograph goes through it, where a visitor says nothing else

    @property
    def scale(self) -> int:
        """By how much a photograph is enlarged."""
        return self.way.enlarge * self.restorer.net.scale

    @property
    def ending(self) -> str:
        """How names of results end, so that those of two networks differ."""
        return result_ending(self.name, own=Path(self.name).stem)

    @property
    def blocks(self) -> list[str]:
        """The names of the attention blocks that have a picture, in the network's order."""
        return list(shown_blocks(self.restorer.module))

    @property
    def label(self) -> str:
        """What it does, and its name."""
        task = next((task for task in _PURPOSES if self.way.task.startswith(task)), None)
        purpose = self.way.task if task is None else _PURPOSES[task]
        return f"{purpose}{f' ×{self.scale}' if self.scale > 1 else ''} ({self.name})"

    def about(self) -> dict[str, Any]:
        """Return what scripts and the page are to know."""
        return {
            "name": self.name,
            "label": self.label,
            "scale": self.scale,
            "takes_sigma": takes_noise_level(self.restorer.net),
            "takes_phase": self.way.mosaic is not None,
            "trained": self.way.trained,
            "blocks": self.blocks,
        }


@dataclass(frozen=True)
class Limits:
    """What is accepted: megapixels of a photograph and a result, megabytes of an upload, jobs."""

    megapixels: float
    megabytes: float
    waiting: int

    def check(self, name: Path, size: tuple[int, int], scale: int = 1) -> None:
        """Refuse a photograph, (width, height), that is too large, or would become so."""
        width, height = (scale * side for side in size)
        millions = width * height / 1e6
        if millions > self.megapixels:
            verb = "has" if scale == 1 else f"enlarged ×{scale} would have"
            raise ImageFileError(
                name,
                f"{verb} {width} × {height} pixels, {millions:.1f} megapixels; "
                f"{self.megapixels:g} are allowed here. Make it smaller, or cut it.",
            )


@dataclass(frozen=True)
class Upload:
    """A photograph that came: its name, what is in it, the format of its result and why."""

    name: Path
    photograph: Photograph
    kind: str
    reason: str | None


def read_upload(name: str, content: bytes, limits: Limits) -> Upload:
    """Return an uploaded file taken apart; its size is looked at before it is decoded.

    Raises:
        ImageFileError: If it is no image, or too large.
    """
    path = Path(Path(name).name or "photograph")
    if not content:
        raise ImageFileError(path, "is empty; choose a photograph.")
    try:
        with opened(path, content) as image:
            limits.check(path, image.size)
            kind, reason = kind_of(image)
    except ImageFileError as error:
        bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
        if isinstance(error.__cause__, bombs):  # its advice is for who has started this
            allowed = f"{limits.megapixels:g} megapixels are allowed here"
            raise ImageFileError(path, f"is too large ({error.__cause__}); {allowed}.") from error
        raise
    return Upload(path, read_photograph(path, content), kind, reason)


@dataclass(frozen=True)
class Wish:
    """What is to become of a photograph; None leaves it to the network."""

    offer: Offer
    sigma: float | None = None
    strength: float = 1.0
    phase: str | None = None

    def way(self) -> Restoration:
        """Return how a photograph goes through the network.

        Raises:
            ConfigError: If the network cannot do that.
        """
        name = self.offer.name
        if self.phase is not None and self.offer.way.mosaic is None:
            raise ConfigError(f"phase={self.phase}: {name} does not demosaic; leave phase out.")
        if self.sigma is not None and not takes_noise_level(self.offer.restorer.net):
            raise ConfigError(f"sigma={self.sigma:g}: {name} is told no noise; leave it out.")
        return restoration(
            self.offer.restorer,
            self.offer.checkpoint,
            self.offer.way.device,
            sigma=self.sigma,
            phase=self.phase,
            strength=self.strength,
        )
