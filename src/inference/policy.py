"""How whole images go through a network: whole or in tiles, eight times over, in a window."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from src.core.errors import ConfigError
from src.inference.tiling import LEAST_PIXELS, PaperRule


@dataclass(frozen=True)
class InferencePolicy:
    """How whole images go through a network; part of every record, because it moves scores.

    Raises:
        ConfigError: If a tile is not larger than the overlap, pieces would never be small, or the
            window has no pixel.
    """

    # Side in input pixels; None restores the whole image at once; ``auto`` does so where it fits
    # into the memory that is free and does not take very long, else uses tiles.
    tile: int | Literal["auto"] | None = "auto"
    overlap: int = 16  # input pixels that neighbouring tiles share at least
    ensemble: bool = False  # whether the mean over the eight flips and transposes is taken
    # ``feathered`` blends overlapping tiles of ``tile`` pixels; ``paper`` quarters every image as
    # the papers did for all their numbers, and ``tile`` and ``overlap`` do nothing.
    tiling: Literal["feathered", "paper"] = "feathered"
    paper_pixels: int = 6400  # with ``paper``, a piece of fewer pixels is not quartered again
    # With ``paper``, whose sizes of pieces where the scale is not 1.
    paper_rule: PaperRule = "panet"
    # Side of the search window, in pixels of the features, of attention that was trained to see all
    # of a patch: it costs time and memory linear in pixels and may move scores. None sees what the
    # network saw in training.
    window: int | None = None

    def __post_init__(self) -> None:
        too_small = isinstance(self.tile, int) and self.tile <= self.overlap
        if self.overlap < 0 or too_small:
            raise ConfigError(
                f"inference.tile={self.tile} with inference.overlap={self.overlap} is not "
                "possible: the overlap must be at least 0 and below the tile, e.g. 16 and 96; "
                "inference.tile=null restores the whole image at once."
            )
        if self.paper_pixels < LEAST_PIXELS:
            raise ConfigError(
                f"inference.paper_pixels={self.paper_pixels} is not possible: with their margins "
                f"pieces never have fewer than {LEAST_PIXELS}; the papers took 6800, 6400 and 3600."
            )
        if self.window is not None and self.window < 1:
            raise ConfigError(
                f"inference.window={self.window} is not possible: a search window has at least 1 "
                "pixel a side, e.g. 49; inference.window=null leaves attention as it was trained."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for records."""
        return asdict(self)
