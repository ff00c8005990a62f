"""Which images ``data`` is given, by whichever of its keys, and what is wrong with its settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.core.errors import ConfigError, DataError, did_you_mean
from src.data.image_io import GREY
from src.data.opener import ON_ERROR
from src.data.pairs import PairFolders
from src.data.several import ImageFolders, MixedSources
from src.data.source import ImageFolder, ImageSource

_KEYS = {"train": ("train_dir", "target_dir"), "val": ("val_dir", "val_target_dir")}
"""Keys of ``data`` that name folders of clean images, and of the targets of pairs."""
_CHOICES = {"cache": ("on", "off"), "channels": (1, 3), "on_error": ON_ERROR, "grey": GREY}


def trained_on(
    train: ImageSource | Mapping[str, Any] | None,
    train_dir: str | Path | Sequence[str | Path] | None,
) -> ImageSource | None:
    """Return the images that ``data.train`` or ``data.train_dir`` names; None for none.

    Raises:
        ConfigError: If both do.
    """
    if train is not None and train_dir is not None:
        raise ConfigError(
            f"data.train and data.train_dir={train_dir} both name images to train on; leave "
            "one out."
        )
    if isinstance(train_dir, str | Path):
        return ImageFolder(train_dir)
    if train_dir is not None:
        return ImageFolders(train_dir)
    return MixedSources(train) if isinstance(train, Mapping) else train


def pairs_of(
    key: str,
    target_dir: str | Path | None,
    input_dir: str | Path | None,
    scale: int,
    pattern: str | None,
) -> PairFolders | None:
    """Return the pairs of ``data.<key>target_dir`` and ``data.<key>input_dir``; None for none."""
    if target_dir is None and input_dir is None:
        return None
    if target_dir is None or input_dir is None:
        raise ConfigError(
            f"data.{key}target_dir={target_dir} and data.{key}input_dir={input_dir}: pairs need "
            "both; one folder may contain them all."
        )
    return PairFolders(target_dir, input_dir, scale=scale, pattern=pattern)


def key_of(part: str, source: ImageSource | None) -> str:
    """Return the key by which images like those of ``source`` are given."""
    return _KEYS[part][isinstance(source, PairFolders)]


def nothing(what: str, part: str) -> DataError:
    """Return the error that there is no image for ``part``, and how to give some."""
    alone, paired = _KEYS[part]
    return DataError(
        f"There is no {what}. Set data.{alone}=<folder> (with data=folder), data.{paired}=<folder> "
        f"and data.{paired.replace('target', 'input')}=<folder> (with data=pairs), or take "
        "data=sample_photos."
    )


def check_settings(numbers: Mapping[str, object], choices: Mapping[str, object]) -> None:
    """Refuse a setting that is no whole number, or too small; or one that is no choice."""
    for name, value in numbers.items():
        least = 0 if name == "workers" else 1
        if type(value) is not int or value < least:
            raise ConfigError(f"data.{name}={value} must be a whole number, at least {least}.")
    for name, value in choices.items():
        allowed = _CHOICES[name]
        if value not in allowed:
            near = did_you_mean(str(value), map(str, allowed))
            raise ConfigError(f"data.{name}={value} is not possible. {near}")
