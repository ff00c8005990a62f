"""Image sets: where prepared ones are, as a source of images, and known by their pixels."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from src.core.errors import ConfigError, DataError, did_you_mean
from src.core.paths import CONF_DIR, from_root
from src.data.depth import Pixels
from src.data.source import ImageFolder, ImageItem

MANIFEST = "manifest.json"
"""The file that a prepared folder ends with; it says what is in it and where it came from."""


def known_sets() -> list[str]:
    """Return the names that ``python -m src.prepare dataset=…`` knows, sorted."""
    return sorted(
        file.stem for file in (CONF_DIR / "dataset").glob("*.yaml") if not file.stem.startswith("_")
    )


def prepared_folder(data_dir: str | Path, name: str) -> Path:
    """Return the folder of a prepared set, e.g. ``set5``.

    Raises:
        DataError: If it is not there, with the command that makes it.
    """
    folder = from_root(data_dir) / name
    if Path(name).name == name and (folder / MANIFEST).is_file():
        return folder
    sets = known_sets()
    if name not in sets and len(Path(name).parts) > 1:
        raise DataError(
            f"The folder {from_root(name)} does not exist, which is named as a set of images."
        )
    if name not in sets:
        raise DataError(f"There is no image set {name!r}. {did_you_mean(name, sets)}")
    parts = _parts(name)
    if parts:
        raise DataError(f"{name} stands for several image sets: name them, {', '.join(parts)}.")
    found = "is no prepared set (it has no manifest)" if folder.is_dir() else "does not exist"
    raise DataError(
        f"The image set {name} is not prepared: {folder} {found}.\n"
        f"  Download it:       python -m src.prepare dataset={name}\n"
        f"  Or take a copy:    python -m src.prepare dataset={name} source=<folder or archive>\n"
        "  Sets elsewhere:    paths.data_dir=<folder>"
    )


def folders_of_sets(given: str | Sequence[str], data_dir: str | Path) -> list[Path]:
    """Return the folder of each prepared set, or of images, that ``sets=`` names.

    Raises:
        ConfigError: If it names none, or one twice.
        DataError: If a set is not prepared.
    """
    names = [given] if isinstance(given, str) else list(given)
    refuse_nothing("sets", names)
    folders = []
    for name in names:
        here = name not in known_sets() and from_root(name).is_dir()
        folders.append(from_root(name) if here else prepared_folder(data_dir, name))
    refuse_twice("sets", [folder.name for folder in folders])
    return folders


def refuse_nothing(key: str, values: Sequence[object]) -> None:
    """Refuse an empty list with ConfigError."""
    if not values:
        raise ConfigError(f"{key}=[] names none; leave it out, or give one or several.")


def refuse_twice(key: str, values: Sequence[object], advice: str = "") -> None:
    """Refuse a list that names something twice with ConfigError."""
    twice = [str(value) for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ConfigError(f"{key} names {', '.join(twice)} twice.{advice}")


def fingerprint(pixels: Pixels) -> str:
    """Return ``WxH:`` and the first 16 digits of a SHA-256 of ``pixels`` (H, W, C).

    What is hashed is the shape as text, ``HxWxC:``, and then the bytes of the array: it is equal
    for equal pixels, whatever the file format. Sixteen digits are 64 bits: enough to tell images
    apart, no protection against forgery.
    """
    digest = hashlib.sha256("x".join(map(str, pixels.shape)).encode() + b":")
    digest.update(pixels.tobytes())
    height, width, _ = pixels.shape
    return f"{width}x{height}:{digest.hexdigest()[:16]}"


@lru_cache
def known_pixels() -> Mapping[str, frozenset[str]]:
    """Return set → fingerprints of its images, of those sets whose pixels conf/dataset/ knows."""
    described = {name: _described(name).get("pixels") for name in known_sets()}
    return {name: frozenset(known.values()) for name, known in described.items() if known}


def identify(name: str, pixels: Mapping[str, str]) -> dict[str, Any]:
    """Return what a record says of an image set.

    Args:
        name: What the set is called where it is scored, e.g. by its folder.
        pixels: Key → fingerprint of each image, with the channels that its file has.

    Returns:
        ``fingerprint`` of them all; ``known_as``, the set of conf/dataset/ whose images these are,
        or None; ``foreign``, the images that the set called ``name`` (of another name: the set to
        which most of these belong, and most of which are here) does not have, or has once;
        ``missing``, how many of its images are not here.
    """
    here, sets = sorted(pixels.values()), known_pixels()
    known = next((known for known, images in sets.items() if sorted(images) == here), None)
    alike = (
        s for s, images in sets.items() if 2 * len(images & {*here}) > max(map(len, (images, here)))
    )
    usual = sets.get(name.lower()) or sets.get(known or next(alike, ""), frozenset())
    first = {one: key for key, one in sorted(pixels.items(), reverse=True)}
    return {
        "fingerprint": hashlib.sha256("\0".join(here).encode()).hexdigest()[:16],
        "known_as": known,
        "foreign": sorted(
            key for key, one in pixels.items() if usual and (one not in usual or first[one] != key)
        ),
        "missing": len(usual.difference(here)),
    }


def doubt(name: str, images: Mapping[str, Any] | None) -> str:
    """Return why scores cannot be compared with published ones of the set ``name``; else nothing.

    ``images`` is what :func:`identify` returned; None where that was not recorded.
    """
    if images is None or images["known_as"] == name.lower():
        return ""
    if images["foreign"] or images["missing"]:
        return (
            f"{len(images['foreign'])} are not those of the published set and {images['missing']} "
            "of it are missing: no published score compares"
        )
    if name.lower() in known_sets() and images["known_as"] is None:
        return "the pixels of the published set are not known here: it may be another"
    return ""


def _described(name: str) -> dict[str, Any]:
    text = (CONF_DIR / "dataset" / f"{name}.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _parts(name: str) -> list[str]:
    """Return the sets that a name such as ``df2k`` stands for; none for a set of its own."""
    described = _described(name)
    return [] if "name" in described else [str(part) for part in described["defaults"]]


class PreparedSet:
    """Images of one prepared set, or of several together.

    Args:
        name: Name of the set, or names of several whose file names differ, e.g. DIV2K and Flickr2K.
        data_dir: Where prepared sets are; a relative path starts at the repository root.
        first: Take only this many images a set, the first by name; None takes all.

    Raises:
        ConfigError: If ``first`` is not positive or there is no name.
    """

    def __init__(
        self, *, name: str | Sequence[str], data_dir: str | Path, first: int | None = None
    ) -> None:
        self.names = [name] if isinstance(name, str) else list(name)
        self.data_dir, self.first = data_dir, first
        if not self.names:
            raise ConfigError("name=[] names no image set; give one, e.g. name=div2k.")
        if first is not None and first < 1:
            raise ConfigError(f"first={first} must be at least 1, or null for all images.")

    def describe(self) -> str:
        """Return which sets, and where."""
        return f"{' and '.join(self.names)} under {from_root(self.data_dir)}"

    def items(self) -> dict[str, ImageItem]:
        """Return key → image, sorted by key.

        Raises:
            DataError: If a set is not prepared, or two sets hold images of one name.
        """
        merged: dict[str, ImageItem] = {}
        for name in self.names:
            items = ImageFolder(prepared_folder(self.data_dir, name)).items()
            twice = merged.keys() & items.keys()
            if twice:
                raise DataError(
                    f"{self.describe()}: several sets hold {', '.join(sorted(twice)[:5])}; "
                    "results could not be told apart. Take sets whose file names differ."
                )
            merged |= dict(list(items.items())[: self.first])
        return dict(sorted(merged.items()))
