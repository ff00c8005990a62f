"""What an image set is, where it comes from, and how it is recognised."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from omegaconf import DictConfig, OmegaConf

from src.core.errors import ConfigError, DataError, did_you_mean
from src.core.paths import CONF_DIR
from src.data.prepared import known_sets
from src.data.source import EXTENSIONS

ROLES = ("test", "train")
HASHES = ("sha256", "md5")
CUT = 12
"""Usual copies of test images are cut to multiples of this, so that up to 11 pixels are missing."""


@dataclass(frozen=True)
class Mirror:
    """One place from which one archive can be had.

    Raises:
        ValueError: For another scheme or another kind of checksum.
    """

    url: str  # http or https
    bytes: int | None = None  # size of the file, where it is published; else None
    # ``sha256:<hex>`` or ``md5:<hex>``, where it is published; else None.
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

    Raises:
        ValueError: If a value is out of its range.
    """

    name: str  # name of the set and of its folder
    count: int  # images that must be there
    role: str = "test"  # ``test`` or ``train``
    # Each a list of mirrors (mappings, see :class:`Mirror`); all are needed.
    archives: Sequence[Sequence[Mapping[str, Any]]] = ()
    layouts: Sequence[Sequence[str]] = ()  # each a list of patterns of paths, see :func:`choose`
    # Name without extension → why that image is left out.
    exclude: Mapping[str, str] = field(default_factory=dict)
    # The allowed [width, height], turned or not; None allows those of ``pixels``, cut by less than
    # ``CUT`` or not, and any where these are not known.
    sizes: Sequence[Sequence[int]] | None = None
    # Name → fingerprint (:mod:`src.data.prepared`), where the images are known.
    pixels: Mapping[str, str] = field(default_factory=dict)
    manual: str | None = None  # what to do where there is no free direct link
    terms: str = "unknown"  # of use, as the owner states them

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
        side, longer = sorted((width, height))
        sizes, cut = self.sizes or list(map(size_of, self.pixels.values())), self.sizes is None
        return not sizes or any(
            0 <= short - side < (CUT if cut else 1) and 0 <= long - longer < (CUT if cut else 1)
            for short, long in map(sorted, sizes)
        )


def size_of(known: str) -> tuple[int, int]:
    """Return width and height of the image with this fingerprint."""
    width, _, height = known.partition(":")[0].partition("x")
    return int(width), int(height)


def chosen_sets(cfg: DictConfig) -> list[ImageSet]:
    """Return the sets that ``cfg.dataset`` names.

    Raises:
        ConfigError: If there is none, or one is described wrongly.
    """
    chosen = OmegaConf.to_container(cfg.get("dataset") or OmegaConf.create(), resolve=True)
    if not isinstance(chosen, dict) or not chosen:
        raise ConfigError(
            f"No image set is named: dataset=<{' | '.join(known_sets())}>, or several: "
            "dataset=[set5,set14]."
        )
    return [image_set_of(node) for node in chosen.values()]


def image_set_of(node: Mapping[str, Any]) -> ImageSet:
    """Return the set that one node of conf/dataset/ describes; ConfigError if it is wrong."""
    try:
        return ImageSet(**{key: value for key, value in node.items() if key != "_target_"})
    except ValueError as error:
        raise ConfigError(f"dataset.{node['name']}: {error}") from error


def all_sets() -> list[ImageSet]:
    """Return every set that conf/dataset/ describes."""
    files = sorted((CONF_DIR / "dataset").glob("[!_]*.yaml"))
    loaded = [OmegaConf.to_container(OmegaConf.load(file)) for file in files]
    return [
        image_set_of({str(key): value for key, value in node.items() if key != "defaults"})
        for node in loaded
        if isinstance(node, dict) and "name" in node
    ]


def is_image(path: str) -> bool:
    """Return whether ``path`` names an image; hidden files and macOS's doubles are none."""
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and PurePosixPath(path).suffix.lower() in EXTENSIONS


def matches(path: str, pattern: str) -> bool:
    """Return whether the end of ``path`` is like ``pattern``, whatever the case of letters.

    ``HR/*`` is like ``benchmark/Set5/HR/baby.png``; ``*`` is like every path.
    """
    return PurePosixPath(path.lower()).match(pattern.lower())


def choose(paths: Iterable[str], image_set: ImageSet, *, partial: bool) -> list[str]:
    """Return the paths of the set's images, sorted: those under the first layout that fits.

    A layout fits when it holds the expected number of images. Failing that, a training set takes
    the first that holds more, because images of known test sets are still to be left out; with
    ``partial`` the first that holds anything fits. Paths are POSIX paths.

    Raises:
        DataError: If none fits, with what each layout holds, or two images share a name.
    """
    images = sorted(path for path in set(paths) if is_image(path))
    wanted = [path for path in images if PurePosixPath(path).stem not in image_set.exclude]
    found = [
        [path for path in wanted if any(matches(path, pattern) for pattern in layout)]
        for layout in image_set.layouts
    ]
    fits = [held for held in found if len(held) == image_set.count]
    if image_set.role == "train":
        fits += [held for held in found if len(held) > image_set.count]
    if partial:
        fits += [held for held in found if held]
    if not fits:
        raise DataError(_nothing_fits(image_set, images, found))
    _refuse_twins(fits[0])
    return fits[0]


def _refuse_twins(paths: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for path in paths:
        twin = seen.setdefault(PurePosixPath(path).name.lower(), path)
        if twin != path:
            raise DataError(
                f"{twin} and {path} would become one file. Give the folder that holds only the "
                "images of the set: source=<folder>."
            )


def _nothing_fits(
    image_set: ImageSet, images: Sequence[str], found: Sequence[Sequence[str]]
) -> str:
    counts = [
        f"{' + '.join(layout)}: {len(held)}"
        for layout, held in zip(image_set.layouts, found, strict=True)
        if held
    ]
    held = "; ".join(counts) or f"no image among {len(images)} is where one of them is expected"
    return (
        f"{image_set.name} has {image_set.count} images, and no known layout holds as many "
        f"({held}).\n"
        "  Give the folder or archive that holds them: source=…; to take fewer: partial=true."
    )
