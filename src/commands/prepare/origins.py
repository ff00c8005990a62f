"""Where the files of a set are taken from: this machine, or the network."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.commands.prepare.archives import open_tree
from src.commands.prepare.download import Downloader
from src.commands.prepare.image_set import ImageSet, Mirror
from src.commands.prepare.manifest import Source
from src.commands.prepare.trees import Limits, Tree
from src.core.errors import DataError, did_you_mean
from src.core.paths import from_root


@dataclass(frozen=True)
class Origins:
    """Opens what a set is made of.

    Attributes:
        downloader: Fetches archives.
        limits: For archives.
        source: A folder or an archive of this machine; None downloads.
        mirror: Address of a folder with the archives, tried before the published ones; or None.
    """

    downloader: Downloader
    limits: Limits
    source: str | None
    mirror: str | None

    def open(self, image_set: ImageSet) -> list[tuple[Tree, Source]]:
        """Return each tree of files with its record for the manifest.

        Raises:
            DataError: If ``source`` is not there, nothing can be downloaded, or it is no archive.
        """
        if self.source is not None:
            return list(self._local(image_set, _existing(self.source)))
        if not image_set.archives:
            raise DataError(
                f"{image_set.name} cannot be downloaded by a program.\n  {image_set.manual}.\n"
                "  Then: python -m src.prepare "
                f"dataset={image_set.name} source=<folder or archive>"
            )
        return [self._download(mirrors) for mirrors in image_set.downloads()]

    def _local(self, image_set: ImageSet, place: Path) -> Iterator[tuple[Tree, Source]]:
        for path in _archives_in(place, image_set) or [place]:
            sha256 = None if path.is_dir() else _sha256(path)
            published = [one.checksum for many in image_set.downloads() for one in many]
            checked = sha256 is not None and f"sha256:{sha256}" in published
            yield open_tree(path, self.limits), Source(str(path), sha256, checked)

    def _download(self, mirrors: Sequence[Mirror]) -> tuple[Tree, Source]:
        first = mirrors[0]
        own: list[Mirror] = []
        if self.mirror is not None:
            url = f"{self.mirror.rstrip('/')}/{first.file_name}"
            own = [Mirror(url, first.bytes, first.checksum)]

        def tree_of(path: Path) -> Tree:
            return open_tree(path, self.limits, name=first.file_name)

        got = self.downloader.fetch([*own, *mirrors], lambda path: tree_of(path).listing())
        return tree_of(got.path), Source(got.url, got.sha256, got.checked)


def _existing(source: str) -> Path:
    typed = Path(source).expanduser()
    path = typed if typed.exists() else from_root(typed)
    if path.exists():
        return path
    beside = [str(other) for other in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = did_you_mean(str(path), beside) if beside else f"{path.parent} is not there either."
    raise DataError(f"source={source}: there is no such folder or archive. {hint}")


def _archives_in(folder: Path, image_set: ImageSet) -> list[Path]:
    """Return the set's archives where ``folder`` holds all of them under their usual names."""
    if not folder.is_dir() or not image_set.archives:
        return []
    found = [
        next((folder / one.file_name for one in many if (folder / one.file_name).is_file()), None)
        for many in image_set.downloads()
    ]
    return [path for path in found if path is not None] if None not in found else []


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
