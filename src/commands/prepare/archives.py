"""Zip and tar archives as trees of files, read member by member within limits."""

import contextlib
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

from src.commands.prepare.layout import is_image
from src.commands.prepare.trees import (
    ArchiveError,
    FileTree,
    FolderTree,
    Limits,
    Tree,
    refuse_escape,
)

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


def open_tree(path: Path, limits: Limits, *, name: str | None = None) -> Tree:
    """Return a folder, an archive or an image as a tree; the content decides, not the name.

    Args:
        path: What is there.
        limits: For archives.
        name: What an image is called; its own name if None.

    Raises:
        ArchiveError: If it is none of these.
    """
    if path.is_dir():
        return FolderTree(path)
    if zipfile.is_zipfile(path):
        return ZipTree(path, limits)
    if _is_tar(path):
        return TarTree(path, limits)
    if is_image(name or path.name):
        return FileTree(path, name or path.name)
    with path.open("rb") as file:
        start = file.read(16)
    kind = "a page of text or HTML" if start.lstrip()[:1] in {b"<", b"{"} else "damaged"
    raise ArchiveError(
        f"{path} is no zip or tar archive; it may be {kind} (it begins with {start!r}).\n"
        "  Download it again; unpack .rar and .7z with their own programs, then source=<folder>."
    )


def _is_tar(path: Path) -> bool:
    with contextlib.suppress(*_DAMAGE, OSError):
        return tarfile.is_tarfile(path)
    return False


@contextlib.contextmanager
def _explained(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise ArchiveError(
            f"{archive} is damaged or cut short ({str(error) or type(error).__name__}); copy or "
            "download it again."
        ) from error


class ZipTree:
    """A zip archive.

    Args:
        archive: The file.
        limits: Above which it is refused.
    """

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.archive, self.limits = archive, limits

    def listing(self) -> dict[str, int]:
        """Return path → bytes of its images; ArchiveError if it is damaged, hostile or a bomb."""
        with _explained(self.archive), zipfile.ZipFile(self.archive) as opened:
            members = opened.infolist()
        unpacked = sum(member.file_size for member in members)
        self.limits.check(self.archive, members=len(members), unpacked=unpacked)
        for member in members:
            refuse_escape(self.archive, member.filename)
        return {
            member.filename: member.file_size
            for member in members
            if not member.is_dir() and is_image(member.filename)
        }

    def read(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield path and content; ArchiveError if a member is damaged, a link or too large."""
        with _explained(self.archive), zipfile.ZipFile(self.archive) as opened:
            for path in paths:
                member = opened.getinfo(path)
                if member.external_attr >> 16 & 0o170000 == 0o120000:
                    raise _no_file(self.archive, path)
                self.limits.check(self.archive, members=0, unpacked=0, image=member.file_size)
                with opened.open(member) as file:
                    yield path, file.read(member.file_size)  # a header that lies fails its CRC


class TarTree:
    """A tar archive, compressed or not, read from front to back.

    Args:
        archive: The file.
        limits: Above which it is refused.
    """

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.archive, self.limits = archive, limits

    def listing(self) -> dict[str, int]:
        """Return path → bytes of its images; ArchiveError if it is damaged, hostile or a bomb."""
        return {member.name: member.size for _, member in self._members() if is_image(member.name)}

    def read(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield path and content; ArchiveError if a member is damaged, a link or too large."""
        wanted = set(paths)
        with _explained(self.archive):
            for opened, member in self._members():
                if member.name in wanted:
                    yield member.name, self._content(opened, member)

    def _content(self, opened: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        file = opened.extractfile(member) if member.isreg() else None
        if file is None:
            raise _no_file(self.archive, member.name)
        self.limits.check(self.archive, members=0, unpacked=0, image=member.size)
        content = file.read(member.size)
        if len(content) < member.size:
            raise tarfile.ReadError("unexpected end of data")
        return content

    def _members(self) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
        unpacked = 0
        with _explained(self.archive), tarfile.open(self.archive) as opened:
            for number, member in enumerate(opened, start=1):
                unpacked += member.size
                # before the next header is looked for, which unpacks this member
                self.limits.check(self.archive, members=number, unpacked=unpacked)
                refuse_escape(self.archive, member.name)
                yield opened, member


def _no_file(archive: Path, member: str) -> ArchiveError:
    return ArchiveError(
        f"{archive} is refused: its member {member!r} is a link or a device, not an image."
    )
