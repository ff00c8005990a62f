"""What an image set is, where it comes from, and how it is recognised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from src.core.errors import did_you_mean

ROLES = ("test", "train")
HASHES = ("sha256", "md5")


@dataclass(frozen=True)
class Mirror:
    """One place from which one archive can be had.

    Attributes:
        url: http or https.
        bytes: Size of the file, where it is published; else None.
        checksum: ``sha256:<hex>`` or ``md5:<hex>``, where it is published; else None.

    Raises:
        ValueError: For another scheme or another kind of checksum.
    """

    url: str
    bytes: int | None = None
    checksum: str | None = None

    def __post_init__(self) -> None:
        scheme = urlsplit(self.url).scheme
        if scheme not in {"http", "https"}:
            raise ValueError(
                f"url={self.url}: {scheme or 'no scheme'} is not possible; it must be http or "
                "https. Files of this machine are given by source=<folder or archive>."
            )
        kind = "sha256" if self.checksum is None else self.checksum.partition(":")[0]
        if kind not in HASHES:
            raise ValueError(
                f"checksum={self.checksum} must be sha256:<hex> or md5:<hex>. "
                f"{did_you_mean(kind, HASHES)}"
            )

    @property
    def file_name(self) -> str:
        """The last part of the address's path, e.g. ``DIV2K_train_HR.zip``."""
        return PurePosixPath(urlsplit(self.url).path).name or "download"


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """An image set as conf/dataset/*.yaml describes it.

    Attributes:
        name: Name of the set and of its folder.
        count: Images that must be there.
        role: ``test`` or ``train``.
        archives: Each a list of mirrors (mappings, see :class:`Mirror`); all are needed.
        layouts: Each a list of patterns of paths, see :mod:`src.commands.prepare.layout`.
        exclude: Name without extension → why that image is left out.
        sizes: The allowed [width, height], turned or not; None allows any.
        pixels: Name → fingerprint (:mod:`src.commands.prepare.pixels`), where the images are known.
        manual: What to do where there is no free direct link.
        terms: Of use, as the owner states them.

    Raises:
        ValueError: If a value is out of its range.
    """

    name: str
    count: int
    role: str = "test"
    archives: Sequence[Sequence[Mapping[str, Any]]] = ()
    layouts: Sequence[Sequence[str]] = ()
    exclude: Mapping[str, str] = field(default_factory=dict)
    sizes: Sequence[Sequence[int]] | None = None
    pixels: Mapping[str, str] = field(default_factory=dict)
    manual: str | None = None
    terms: str = "unknown"

    def __post_init__(self) -> None:
        if PurePosixPath(self.name).name != self.name or self.name.startswith("."):
            raise ValueError(f"name={self.name} must be a plain folder name, e.g. set5.")
        if self.role not in ROLES:
            raise ValueError(f"role={self.role} is unknown. {did_you_mean(self.role, ROLES)}")
        if self.count < 1:
            raise ValueError(f"count={self.count} must be at least 1.")
        if not self.layouts:
            raise ValueError('layouts=[] finds nothing; [["*"]] takes every image.')
        self.downloads()  # refuses bad addresses before anything is fetched

    def downloads(self) -> list[list[Mirror]]:
        """Return each archive's mirrors, in the order in which they are tried."""
        return [[Mirror(**mirror) for mirror in archive] for archive in self.archives]

    def allows(self, width: int, height: int) -> bool:
        """Return whether an image of the set may have this size in pixels."""
        if self.sizes is None:
            return True
        return [width, height] in map(list, self.sizes) or [height, width] in map(list, self.sizes)
