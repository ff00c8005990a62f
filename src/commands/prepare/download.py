"""Downloads that survive what networks do: resumed, checked, from one of several mirrors."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from rich.console import Console

from src.commands.prepare.image_set import Mirror
from src.commands.prepare.partial import Partial
from src.commands.prepare.space import check_space, explain_full_disk
from src.commands.prepare.transfer import Final, Transient, transfer
from src.commands.prepare.trees import ArchiveError
from src.core.errors import DataError

_LONGEST_WAIT = 30.0
"""Seconds between two attempts, at most."""


@dataclass(frozen=True)
class Downloaded:
    """An archive on this machine, and how far it can be trusted.

    Attributes:
        path: The file.
        url: Where it came from.
        sha256: Its hash, in hex.
        checked: Whether a published checksum agreed; else what came is taken on trust.
    """

    path: Path
    url: str
    sha256: str
    checked: bool


class Downloader:
    """Fetches archives into a folder; what is there already is not fetched again.

    Args:
        folder: For finished downloads and for ``.part`` files.
        timeout: Seconds without a byte after which a connection counts as lost.
        attempts: Failed attempts without a single new byte after which a mirror is given up.
        wait: Seconds before the second attempt; doubled for each further one.
        console: Where progress and warnings go.

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(
        self, folder: Path, *, timeout: float, attempts: int, wait: float, console: Console
    ) -> None:
        if timeout <= 0 or attempts < 1 or wait < 0:
            raise ValueError(
                f"timeout={timeout} must be positive, attempts={attempts} at least 1 and "
                f"wait={wait} not negative."
            )
        self.folder, self.timeout, self.attempts, self.wait = folder, timeout, attempts, wait
        self.console = console
        self.fetched: set[Path] = set()
        self._session = requests.Session()
        self._session.max_redirects = 5

    def fetch(self, mirrors: Sequence[Mirror], accept: Callable[[Path], object]) -> Downloaded:
        """Return the file of the first mirror that gives it whole.

        Args:
            mirrors: Tried in this order.
            accept: Raises ArchiveError for a file that is of no use; it is deleted then.

        Raises:
            DataError: If no mirror gives it, with what each said, or the disk is too small.
        """
        said: list[str] = []
        for mirror in mirrors:
            try:
                found = self._from(mirror, accept)
            except (Final, ArchiveError) as error:
                self._forget_useless(mirror)
                said.append(f"  {mirror.url}\n    {error}")
                self.console.print(f"{mirror.url}: {error}", style="yellow", markup=False)
            else:
                for other in mirrors:
                    Partial(self._target(other)).discard()
                self.fetched.add(found.path)
                return found
        parts = [Partial(self._target(mirror)) for mirror in mirrors]
        tail = "".join(
            f"\n  Kept, and resumed next time: {part.path} ({part.size / 1e6:,.1f} MB)"
            for part in parts
            if part.size
        )
        raise DataError(
            f"{mirrors[0].file_name} could not be downloaded:\n" + "\n".join(said) + "\n"
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
        held = partial.origin()
        if not partial.size or held is None or held.validator is None:
            partial.discard()

    def _from(self, mirror: Mirror, accept: Callable[[Path], object]) -> Downloaded:
        target = self._target(mirror)
        partial = Partial(target)
        if not target.is_file():
            with explain_full_disk(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._complete(mirror, partial)
                partial.finish(target)
        held = _hashes(target)
        kind, _, published = (mirror.checksum or "").partition(":")
        if published and held[kind] != published.lower():
            target.unlink()
            raise Final(
                f"what came is not the published file: its {kind} is {held[kind]}, not "
                f"{published}. It was deleted"
            )
        try:
            accept(target)
        except ArchiveError:
            target.unlink()
            raise
        return Downloaded(target, mirror.url, held["sha256"], checked=bool(published))

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
        transfer(
            self._session,
            mirror,
            partial,
            timeout=self.timeout,
            console=self.console,
            check=lambda missing: check_space(self.folder, missing, "the download"),
        )

    def _target(self, mirror: Mirror) -> Path:
        # by address: two mirrors may have two files of one name
        name = hashlib.sha256(mirror.url.encode()).hexdigest()[:8]
        return self.folder / f"{name}-{mirror.file_name}"


def _hashes(path: Path) -> dict[str, str]:
    """Return sha256 and md5 of a file; md5 only because some owners publish nothing else."""
    digests = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            for digest in digests.values():
                digest.update(block)
    return {kind: digest.hexdigest() for kind, digest in digests.items()}
