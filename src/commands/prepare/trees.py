"""Files to choose images from: a folder, one image, or an archive that is never unpacked whole.

The members of an archive are read one at a time, and none of their paths is ever used as a path
on disk, so that links, devices and ``../`` can lead nowhere. What should not be there is refused
still: it means that the archive is not the one that it seems to be.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol, runtime_checkable

from src.commands.prepare.layout import is_image
from src.core.errors import DataError
from src.data.image_io import read_bytes


class ArchiveError(DataError):
    """An archive is damaged or hostile; another copy of it may be well."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Above what an archive is taken for a bomb; None lifts a limit.

    Attributes:
        members: Files and folders in one archive.
        total_gb: All that is unpacked from one archive, in 10⁹ bytes.
        image_gb: One image, in 10⁹ bytes.
        ratio: Unpacked over packed size; images hardly shrink, so that 100 is generous.

    Raises:
        ValueError: If a limit is not positive.
    """

    members: int | None = 1_000_000
    total_gb: float | None = 500.0
    image_gb: float | None = 1.0
    ratio: float | None = 100.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value <= 0:
                raise ValueError(f"limits.{name}={value} must be positive, or null for no limit.")

    def check(self, archive: Path, *, members: int, unpacked: int, image: int = 0) -> None:
        """Refuse an archive that is beyond a limit.

        Args:
            archive: The file.
            members: Its members so far.
            unpacked: Their size together, in bytes.
            image: Size of an image of it, in bytes.

        Raises:
            ArchiveError: Naming the limit.
        """
        packed = max(archive.stat().st_size, 10_000)  # tiny archives may well shrink more
        found = {
            "members": members,
            "total_gb": unpacked / 1e9,
            "image_gb": image / 1e9,
            "ratio": unpacked / packed,
        }
        for name, value in found.items():
            limit = vars(self)[name]
            if limit is not None and value > limit:
                raise ArchiveError(
                    f"{archive} looks like a decompression bomb: {name} {value:,.4g} is above the "
                    f"limit of {limit:,.4g}. If you trust it: limits.{name}=<number or null>."
                )


@runtime_checkable
class Tree(Protocol):
    """Files that can be listed, and read in the order that is cheapest."""

    def listing(self) -> dict[str, int]:
        """Return the POSIX path of every file that is named like an image → its bytes."""
        ...

    def read(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of each of ``paths``, as listed."""
        ...


class FolderTree:
    """The files under a folder; their paths begin with the folder's own name.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def listing(self) -> dict[str, int]:
        """Return path → bytes of every file that is named like an image."""
        found: dict[str, int] = {}
        for folder, subfolders, names in os.walk(self.root):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            for name in names:
                file = Path(folder, name)
                if is_image(name) and file.is_file():
                    found[file.relative_to(self.root.parent).as_posix()] = file.stat().st_size
        return found

    def read(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield path and content; ImageFileError if one cannot be read."""
        for path in paths:
            yield path, read_bytes(self.root.parent / path)


class FileTree:
    """One image file.

    Args:
        file: The image.
        name: What it is called in the set.
    """

    def __init__(self, file: Path, name: str) -> None:
        self.file, self.name = file, name

    def listing(self) -> dict[str, int]:
        """Return the name → bytes."""
        return {self.name: self.file.stat().st_size}

    def read(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield name and content; ImageFileError if it cannot be read."""
        for path in paths:
            yield path, read_bytes(self.file)


def refuse_escape(archive: Path, member: str) -> None:
    """Refuse a member whose path leads out of the folder that it would be unpacked in.

    Raises:
        ArchiveError: If the path is absolute, has a drive, or holds ``..``.
    """
    windows = PureWindowsPath(member)
    absolute = PurePosixPath(member).is_absolute() or windows.drive or windows.root
    if absolute or ".." in windows.parts:
        raise ArchiveError(
            f"{archive} is refused: its member {member!r} would be written outside its folder. No "
            "usual archive of images has one; download it from another mirror, or report it."
        )
