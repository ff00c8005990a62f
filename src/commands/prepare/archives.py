"""Files to choose images from: a folder, one image, or an archive that is never unpacked whole.

The members of an archive are read one at a time, and none of their paths is ever used as a path
on disk, so that links, devices and ``../`` can lead nowhere. What should not be there is refused
still: it means that the archive is not the one that it seems to be.
"""

import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from src.commands.prepare.image_set import is_image
from src.core.errors import DataError
from src.data.image_file import read_bytes

# What the readers of the standard library raise on damaged archives.
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a compression that Python does not have
    RuntimeError,  # an encrypted member
)


class ArchiveError(DataError):
    """An archive is damaged or hostile; another copy of it may be well."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Above what an archive is taken for a bomb; None lifts a limit.

    Raises:
        ValueError: If a limit is not positive.
    """

    members: int | None = 1_000_000  # files and folders in one archive
    total_gb: float | None = 500.0  # all that is unpacked from one archive, in 10⁹ bytes
    image_gb: float | None = 1.0  # one image, in 10⁹ bytes
    # Unpacked over packed size; images hardly shrink, so that 100 is generous.
    ratio: float | None = 100.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value <= 0:
                raise ValueError(f"limits.{name}={value} must be positive, or null for no limit.")

    def check(self, archive: Path, *, members: int = 0, unpacked: int = 0, image: int = 0) -> None:
        """Refuse an archive beyond a limit: of members so far, of bytes unpacked, or of an image.

        Raises:
            ArchiveError: Naming the limit.
        """
        packed = max(archive.stat().st_size, 10_000)  # tiny archives may well shrink more
        values = (members, unpacked / 1e9, image / 1e9, unpacked / packed)
        for (name, limit), value in zip(vars(self).items(), values, strict=True):
            if limit is not None and value > limit:
                raise ArchiveError(
                    f"{archive} looks like a decompression bomb: {name} {value:,.4g} is above the "
                    f"limit of {limit:,.4g}. If you trust it: limits.{name}=<number or null>."
                )


@dataclass(frozen=True)
class Tree:
    """Files that can be read in the order that is cheapest."""

    sizes: dict[str, int]  # POSIX path of every file that is named like an image → its bytes
    # Yields path and content of each of the given paths; ArchiveError if a member is damaged, a
    # link or too large, ImageFileError if a file cannot be read.
    read: Callable[[Collection[str]], Iterator[tuple[str, bytes]]]


def open_tree(path: Path, limits: Limits, *, name: str | None = None) -> Tree:
    """Return a folder, an archive or an image as a tree; the content decides, not the name.

    An image is called ``name``, or as its file is.

    Raises:
        ArchiveError: If it is none of these, damaged, hostile or a bomb.
    """
    if path.is_dir():
        return _folder(path.resolve())
    if zipfile.is_zipfile(path):
        return _zip(path, limits)
    if _is_tar(path):
        return _tar(path, limits)
    if is_image(name or path.name):
        sizes = {name or path.name: path.stat().st_size}
        return Tree(sizes, lambda names: ((one, read_bytes(path)) for one in names))
    with path.open("rb") as file:
        start = file.read(16)
    kind = "a page of text or HTML" if start.lstrip()[:1] in {b"<", b"{"} else "damaged"
    raise ArchiveError(
        f"{path} is no zip or tar archive; it may be {kind} (it begins with {start!r}).\n"
        "  Download it again; unpack .rar and .7z with their own programs, then source=<folder>."
    )


def _folder(root: Path) -> Tree:
    """Return the files under ``root``; their paths begin with its own name."""
    sizes = {}
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for file in (Path(folder, name) for name in names if is_image(name)):
            if file.is_file():
                sizes[file.relative_to(root.parent).as_posix()] = file.stat().st_size
    return Tree(sizes, lambda paths: ((path, read_bytes(root.parent / path)) for path in paths))


def _zip(archive: Path, limits: Limits) -> Tree:
    with _explained(archive), zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
    unpacked = sum(member.file_size for member in members)
    limits.check(archive, members=len(members), unpacked=unpacked)
    for member in members:
        refuse_escape(archive, member.filename)

    def read(paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        with _explained(archive), zipfile.ZipFile(archive) as opened:
            for member in map(opened.getinfo, paths):
                if member.external_attr >> 16 & 0o170000 == 0o120000:
                    raise _no_file(archive, member.filename)
                limits.check(archive, image=member.file_size)
                with opened.open(member) as file:  # a header that lies fails its CRC
                    yield member.filename, file.read(member.file_size)

    files = (member for member in members if not member.is_dir())
    return Tree({one.filename: one.file_size for one in files if is_image(one.filename)}, read)


def _tar(archive: Path, limits: Limits) -> Tree:
    """Return a tar archive, compressed or not, which is read from front to back each time."""

    def read(paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        wanted = set(paths)
        with _explained(archive):
            for opened, member in _members(archive, limits):
                if member.name in wanted:
                    limits.check(archive, image=member.size)
                    yield member.name, _content(archive, opened, member)

    members = (member for _, member in _members(archive, limits))
    return Tree({one.name: one.size for one in members if is_image(one.name)}, read)


def _content(archive: Path, opened: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = opened.extractfile(member) if member.isreg() else None
    if file is None:
        raise _no_file(archive, member.name)
    content = file.read(member.size)
    if len(content) < member.size:
        raise tarfile.ReadError("unexpected end of data")
    return content


def _members(archive: Path, limits: Limits) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    unpacked = 0
    with _explained(archive), tarfile.open(archive) as opened:
        for number, member in enumerate(opened, start=1):
            unpacked += member.size
            # before the next header is looked for, which unpacks this member
            limits.check(archive, members=number, unpacked=unpacked)
            refuse_escape(archive, member.name)
            yield opened, member


def _is_tar(path: Path) -> bool:
    with suppress(*_DAMAGE, OSError):
        return tarfile.is_tarfile(path)
    return False


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise ArchiveError(
            f"{archive} is damaged or cut short ({str(error) or type(error).__name__}); copy or "
            "download it again."
        ) from error


def _no_file(archive: Path, member: str) -> ArchiveError:
    return ArchiveError(
        f"{archive} is refused: its member {member!r} is a link or a device, not an image."
    )


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
