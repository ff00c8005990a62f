"""Several folders as one set of images, and several sets with shares."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from src.core.errors import ConfigError
from src.data.source import JOINT, ImageFolder, ImageItem, ImageSource


class ImageFolders:
    """Several folders as one set; a key begins with its folder's name.

    Args:
        roots: The folders, each of another name.

    Raises:
        ConfigError: If two have one name.
    """

    def __init__(self, roots: Sequence[str | Path]) -> None:
        self.folders = {folder.root.name: folder for folder in map(ImageFolder, roots)}
        if len(self.folders) < len(roots):
            names = ", ".join(map(str, roots))
            raise ConfigError(f"Of the folders {names} two have one name, which tells them apart.")

    def describe(self) -> str:
        """Return where the images are."""
        return f"images under {', '.join(str(folder.root) for folder in self.folders.values())}"

    def items(self) -> dict[str, ImageItem]:
        """Return key → image file, sorted by key; errors as in :meth:`ImageFolder.files`."""
        return _keyed(dict(sorted(self.folders.items())))


class MixedSources:
    """Several sets of images with shares: how many samples of each there are, of all.

    Args:
        sets: Name → ``dir``, a folder, or a ``source`` of images, and its ``share``, 1 where it is
            left out.

    Attributes:
        shares: Name → share in whole numbers, e.g. 3 and 7 for 0.3 and 0.7.

    Raises:
        ConfigError: If an entry is none, or a share is not positive.
    """

    def __init__(self, sets: Mapping[str, Any]) -> None:
        given = {name: _entry(str(name), entry) for name, entry in sets.items()}
        self.sources = {name: source for name, (source, _) in given.items()}
        exact = {name: share for name, (_, share) in given.items()}
        unit = math.lcm(*(share.denominator for share in exact.values()))
        whole = {name: int(share * unit) for name, share in exact.items()}
        common = math.gcd(*whole.values())
        self.shares = {name: share // common for name, share in whole.items()}
        if not self.shares or sum(self.shares.values()) > _MOST_SHARES:
            raise ConfigError(
                f"data.train={dict(sets)}: give sets with shares in a simple ratio, e.g. "
                "{a: {dir: photos/a, share: 2}, b: {dir: photos/b}}"
            )

    def describe(self) -> str:
        """Return what is mixed, in which shares."""
        return " and ".join(
            f"{self.shares[name]} of {name} ({source.describe()})"
            for name, source in self.sources.items()
        )

    def items(self) -> dict[str, ImageItem]:
        """Return key → image, sorted by key, which begins with the set's name."""
        return dict(sorted(_keyed(self.sources).items()))


_MOST_SHARES = 10_000


def _keyed(sources: Mapping[str, ImageSource]) -> dict[str, ImageItem]:
    return {
        f"{name}{JOINT}{key}": item
        for name, source in sources.items()
        for key, item in source.items().items()
    }


def _entry(name: str, entry: Any) -> tuple[ImageSource, Fraction]:  # noqa: ANN401
    known = {"dir", "source", "share"}
    if not isinstance(entry, Mapping) or entry.keys() - known or JOINT in name:
        raise ConfigError(
            f"data.train.{name}={entry}: a set is {{dir: <folder>, share: <number>}}, and its name "
            f"has no {JOINT}."
        )
    share, source = entry.get("share", 1), entry.get("source")
    if not isinstance(share, int | float) or not share > 0:
        raise ConfigError(f"data.train.{name}.share={share} must be a number above 0.")
    if (source is None) == (entry.get("dir") is None):
        raise ConfigError(f"data.train.{name}: give dir=<folder>, or a source.")
    return source or ImageFolder(entry["dir"]), Fraction(str(share))


def folders_of(given: str | Path | Sequence[str | Path]) -> dict[str, ImageFolder]:
    """Return the folders that were given, one or several, by their names; errors as above."""
    return ImageFolders([given] if isinstance(given, str | Path) else given).folders
