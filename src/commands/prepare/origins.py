"""Where the files of a set are taken from: this machine, or the network.

Downloads survive what networks do: they are resumed, checked, and taken from several mirrors.
"""

import contextlib
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from rich.console import Console

from src.commands.prepare.archives import ArchiveError, Limits, Tree, open_tree
from src.commands.prepare.image_set import ImageSet, Mirror
from src.commands.prepare.manifest import Source
from src.commands.prepare.staging import RESERVE, check_space, explain_full_disk, free_space
from src.commands.prepare.transfer import Final, Partial, Transient, transfer
from src.core.errors import DataError, did_you_mean
from src.core.files import sha256
from src.core.paths import from_root, with_home
from src.core.redact import without_passwords

_LONGEST_WAIT = 30.0
"""Seconds between two attempts, at most."""


Opened = tuple[Tree, Source]
"""Files, and the record of where they came from for the manifest."""


class Downloader:
    """Fetches archives into a folder; what is there already is not fetched again.

    Args:
        folder: For finished downloads and for ``.part`` files.
        limits: For archives.
        timeout: Seconds without a byte after which a connection counts as lost.
        attempts: Failed attempts without a single new byte after which a mirror is given up.
        wait: Seconds before the second attempt; doubled for each further one.
        console: Where progress and warnings go.

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        *,
        timeout: float,
        attempts: int,
        wait: float,
        console: Console,
    ) -> None:
        if timeout <= 0 or attempts < 1 or wait < 0:
            raise ValueError(
                f"timeout={timeout} must be positive, attempts={attempts} at least 1 and "
                f"wait={wait} not negative."
            )
        self.folder, self.timeout, self.attempts, self.wait = folder, timeout, attempts, wait
        self.limits, self.console = limits, console
        self.fetched: set[Path] = set()
        self._session = requests.Session()
        self._session.max_redirects = 5

    def fetch(self, mirrors: Sequence[Mirror], *, name: str) -> Opened:
        """Return what is in the file of the first mirror that gives it whole.

        A file that cannot be opened is deleted. One that is an image is called ``name``.

        Raises:
            DataError: If no mirror gives it, with what each said, or the disk is too small.
        """
        answers: list[str] = []
        for mirror in mirrors:
            try:
                opened = self._from(mirror, name)
            except (Final, ArchiveError) as error:
                self._forget_useless(mirror)
                answers.append(f"  {mirror.url}\n    {error}")
                said = without_passwords(f"{mirror.url}: {error}")
                self.console.print(said, style="yellow", markup=False)
            else:
                for other in mirrors:
                    Partial(self._target(other)).discard()
                self.fetched.add(self._target(mirror))
                return opened
        parts = [Partial(self._target(mirror)) for mirror in mirrors]
        tail = "".join(
            f"\n  Kept, and resumed next time: {part.path} ({part.size / 1e6:,.1f} MB)"
            for part in parts
            if part.size
        )
        raise DataError(
            f"{mirrors[0].file_name} could not be downloaded:\n" + "\n".join(answers) + "\n"
            "  Try again later, name another mirror (mirror=<address of its folder>), or give a "
            f"copy: source=<folder or archive>.{tail}"
        )

    def clear(self) -> None:
        """Delete what this downloader fetched; bytes of unfinished downloads stay."""
        for path in self.fetched:
            path.unlink(missing_ok=True)
        self.fetched.clear()
        with contextlib.suppress(OSError):  # not empty, or never made
            self.folder.rmdir()

    def _forget_useless(self, mirror: Mirror) -> None:
        partial = Partial(self._target(mirror))
        origin = partial.origin()
        if not partial.size or origin is None or origin.validator is None:
            partial.discard()

    def _from(self, mirror: Mirror, name: str) -> Opened:
        target = self._target(mirror)
        partial = Partial(target)
        if not target.is_file():
            with explain_full_disk(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._complete(mirror, partial)
                partial.finish(target)
        own = sha256(target)
        kind, _, published = (mirror.checksum or "").partition(":")
        actual = _md5(target) if kind == "md5" else own
        if published and actual != published.lower():
            target.unlink()
            raise Final(
                f"what came is not the published file: its {kind} is {actual}, not "
                f"{published}. It was deleted"
            )
        try:
            tree = open_tree(target, self.limits, name=name)
        except ArchiveError:
            target.unlink()
            raise
        return tree, Source(without_passwords(mirror.url), own, checked=bool(published))

    def _complete(self, mirror: Mirror, partial: Partial) -> None:
        failed, wait, before = 0, self.wait, -1
        while before < 0 or failed:
            before = partial.size
            try:
                self._transfer(mirror, partial)
                failed = 0
            except Transient as error:
                if partial.size > before:
                    failed, wait = 0, self.wait
                failed += 1
                if failed >= self.attempts:
                    raise Final(f"{error} ({failed} attempts without a new byte)") from error
                self.console.print(
                    f"{mirror.file_name}: {error}; trying again in {wait:.0f} s", markup=False
                )
                time.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)

    def _transfer(self, mirror: Mirror, partial: Partial) -> None:
        room = free_space(self.folder) - RESERVE + partial.size
        limit = self.limits.total_gb
        transfer(
            self._session,
            mirror,
            partial,
            timeout=self.timeout,
            console=self.console,
            most=math.inf if limit is None else limit * 1e9,
            room=max(0, room),
            check=lambda missing: check_space(self.folder, missing, "the download"),
        )

    def _target(self, mirror: Mirror) -> Path:
        # by address: two mirrors may have two files of one name
        name = hashlib.sha256(mirror.url.encode()).hexdigest()[:8]
        return self.folder / f"{name}-{mirror.file_name}"


def _md5(path: Path) -> str:
    """Return the MD5 of a file, because some owners publish nothing else."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@dataclass(frozen=True)
class Origins:
    """Opens what a set is made of."""

    downloader: Downloader  # fetches archives
    source: str | None  # a folder or an archive of this machine; None downloads
    # Address of a folder with the archives, tried before the published ones; or None.
    mirror: str | None

    def open(self, image_set: ImageSet) -> list[Opened]:
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

    def _local(self, image_set: ImageSet, place: Path) -> Iterator[Opened]:
        for path in _archives_in(place, image_set) or [place]:
            own = None if path.is_dir() else sha256(path)
            published = [one.checksum for many in image_set.downloads() for one in many]
            source = Source(str(path), own, checked=f"sha256:{own}" in published)
            yield open_tree(path, self.downloader.limits), source

    def _download(self, mirrors: Sequence[Mirror]) -> Opened:
        first = mirrors[0]
        own: list[Mirror] = []
        if self.mirror is not None:
            url = f"{self.mirror.rstrip('/')}/{first.file_name}"
            own = [Mirror(url, first.bytes, first.checksum)]
        return self.downloader.fetch([*own, *mirrors], name=first.file_name)


def _existing(source: str) -> Path:
    typed = with_home(source)
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
