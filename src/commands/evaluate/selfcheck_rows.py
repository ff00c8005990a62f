"""Published rows that need no weights, and where the images for them are."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from src.core.paths import SHIPPED, from_root
from src.data.datasets.folder import ImageFolder

ROWS_FILE = SHIPPED / "experiments/published/rows.yaml"


@dataclass(frozen=True)
class Row:
    """One published row.

    Attributes:
        benchmark: Name of the image set, as ``python -m src.prepare`` knows it.
        what: What is scored, e.g. "bicubic ×2".
        words: What one types after ``python -m src.evaluate`` to have it scored.
        published: Metric → mean over the images, as printed.
        tolerances: Metric → largest difference that is none.
        source: Paper and table.
        images: How many the set has.
        folders: Names under which the set is usual, in lower case.
        package: An optional package that is needed, or None.
        slow: How long it takes, for rows that run on request only; or None.
    """

    benchmark: str
    what: str
    words: tuple[str, ...]
    published: Mapping[str, float]
    tolerances: Mapping[str, float]
    source: str
    images: int
    folders: tuple[str, ...]
    package: str | None
    slow: str | None

    def obstacle(self, folder: Path | None, *, slow_too: bool) -> str | None:
        """Return why the row cannot be run, or None.

        Args:
            folder: Where the images are; None where they are not.
            slow_too: Whether slow rows are asked for.
        """
        if folder is None:
            return f"no images; python -m src.prepare dataset={self.benchmark}"
        count = len(ImageFolder(folder).files())
        if count != self.images:
            return f"{count} images in {folder.name}, not {self.images}: another set"
        if self.package and importlib.util.find_spec(self.package) is None:
            return f"needs the package {self.package}: pip install 'exemplar[{self.package}]'"
        if self.slow and not slow_too:
            return f"{self.slow}; selfcheck=all"
        return None


def read_rows(file: Path = ROWS_FILE) -> list[Row]:
    """Return the rows of a file like ``experiments/published/rows.yaml``, in its order."""
    content: Any = OmegaConf.to_container(OmegaConf.load(file))
    rows = []
    for group in content["groups"]:
        common = {**content["tolerances"], **group.get("tolerances", {})}
        for entry in group["rows"]:
            tolerances = {**common, **entry.get("tolerances", {})}
            benchmark = content["sets"][entry["set"]]
            rows.append(
                Row(
                    benchmark=entry["set"],
                    what=group["what"].format(**entry),
                    words=tuple(word.format(**entry) for word in group["words"]),
                    published={name: entry[name] for name in tolerances if name in entry},
                    tolerances=tolerances,
                    source=group["source"],
                    images=benchmark["images"],
                    folders=tuple(benchmark["folders"]),
                    package=group.get("package"),
                    slow=group.get("slow"),
                )
            )
    return rows


def is_asked_for(row: Row, given: Sequence[str]) -> bool:
    """Say whether a row is of one of the sets or folders that were given; of none, all are."""
    return not given or any(Path(text).name.lower() in row.folders for text in given)


def folder_of(row: Row, data_dir: str | Path, given: Sequence[str] = ()) -> Path | None:
    """Return the folder with the images of a row, or None where it is not there.

    Args:
        row: The row.
        data_dir: Holds folders of image sets, prepared or not.
        given: Sets or folders of the user's choice; a folder's name says which set it is.
    """
    folders = (from_root(text) for text in given if Path(text).name.lower() in row.folders)
    chosen = next((folder for folder in folders if folder.is_dir()), None)
    if chosen is not None:
        return chosen
    parent = from_root(data_dir)
    inside = sorted(parent.iterdir()) if parent.is_dir() else []
    held = {path.name.lower(): path for path in inside if path.is_dir()}
    return next((held[name] for name in row.folders if name in held), None)
