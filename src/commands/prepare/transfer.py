"""One request for one file: from the beginning, or from where an earlier one broke off."""

import errno
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import requests
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from src.commands.prepare.image_set import Mirror
from src.core.files import write_json
from src.core.redact import without_passwords

_BLOCK = 1 << 14
"""Bytes read at once; a block that a broken connection leaves unfinished is lost."""
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
"""Answers below 500 that may be another one a moment later."""


class Final(Exception):  # noqa: N818  it ends a mirror; the message is shown, not the name
    """This mirror will not give the file."""


class Transient(Exception):  # noqa: N818  as above
    """This request failed; the next one may not."""


@dataclass(frozen=True)
class Origin:
    """What a server said about the file that it began to send."""

    url: str  # the address asked for
    # Its strong ETag or its date of change, by which the server knows whether the file is still the
    # same; None if it names none.
    validator: str | None
    total: int | None  # size of the whole file in bytes; None if it does not say


class Partial:
    """The file ``<target>.part`` of a ``target`` to be and, beside it, where it comes from."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def origin(self) -> Origin | None:
        """Return where the bytes come from; None where that is not known, so that none count."""
        try:
            held = json.loads(self._note.read_text())
            return Origin(held["url"], held["validator"], held["total"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, origin: Origin) -> None:
        """Start with no bytes; OSError if the folder cannot be written."""
        self.path.unlink(missing_ok=True)
        write_json(self._note, asdict(origin))

    def finish(self, target: Path) -> None:
        """Put the bytes in place."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forget the bytes."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def transfer(
    session: requests.Session,
    mirror: Mirror,
    partial: Partial,
    *,
    timeout: float,
    console: Console,
    check: Callable[[int], None],
    most: float,
    room: int,
) -> None:
    """Add to ``partial`` what is missing of the file.

    Bytes of an earlier request count only while the server confirms, by ETag or date (If-Range,
    RFC 9110 §13.1.5), that the file is still the same one.

    Args:
        session: Carries redirect limit and proxies.
        mirror: What to ask for.
        partial: What is there, and where it goes.
        timeout: Seconds without a byte after which the connection counts as lost.
        console: Shows the progress bar.
        check: Called with the number of bytes to come; raises if they do not fit.
        most: Bytes that are taken where the server does not say how many the file has.
        room: Bytes for which there is room then.

    Raises:
        Transient: If the connection failed or broke off.
        Final: If the server refuses, or what it has is not the file.
        OSError: If the disk is full.
    """
    held, shown = partial.origin(), without_passwords(mirror.url)
    start = partial.size if held and held.url == shown and held.validator else 0
    headers = {"Accept-Encoding": "identity"}
    if start and held and held.validator:
        headers |= {"Range": f"bytes={start}-", "If-Range": held.validator}
    with _network(), session.get(mirror.url, headers=headers, stream=True, timeout=timeout) as got:
        _check_answer(got)
        if got.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if held and held.total == start:
                return
            partial.discard()
            raise Transient("the file changed on the server; it is fetched from its beginning")
        resumed = got.status_code == HTTPStatus.PARTIAL_CONTENT
        start = start if resumed else 0
        if resumed and not got.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            partial.discard()
            raise Transient("the server resumed at another place than asked")
        length = got.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        if mirror.bytes is not None and total not in {None, mirror.bytes}:
            partial.discard()
            raise Final(f"the file has {total:,} bytes, not the published {mirror.bytes:,}")
        check((total or start) - start)
        if not resumed:
            partial.begin(Origin(mirror.url, _validator(got), total))
        total = total or mirror.bytes
        up_to = min(most, room) if total is None else total
        _receive(got, partial, total, up_to, mirror.file_name, console)
    _check_length(partial, total, most, room)


def _receive(
    got: requests.Response,
    partial: Partial,
    total: int | None,
    up_to: float,
    name: str,
    console: Console,
) -> None:
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with (
        Progress(TextColumn("{task.description}"), *columns, console=console) as progress,
        partial.path.open("ab") as file,
    ):
        # Some servers call a .tar.gz a tar that they compressed; the bytes are wanted as they are.
        got.raw.headers.pop("Content-Encoding", None)
        task = progress.add_task(name, total=total, completed=partial.size)
        for block in got.iter_content(_BLOCK):
            file.write(block)
            progress.update(task, advance=len(block))
            if file.tell() > up_to:
                break  # told below


def _check_length(partial: Partial, total: int | None, most: float, room: int) -> None:
    """Refuse what is too short or too long; of a file of unknown size, what is above the limits."""
    if total is not None and partial.size < total:
        raise Transient(f"the connection ended after {partial.size:,} of {total:,} bytes")
    if total is not None and partial.size > total:
        partial.discard()
        raise Final(f"the server sent more than the {total:,} bytes of the file")
    if total is None and partial.size > most:
        partial.discard()
        raise Final(
            "the server does not say how large the file is, and sent more than the "
            f"{most:,.0f} bytes of limits.total_gb"
        )
    if total is None and partial.size > room:
        raise OSError(errno.ENOSPC, "no room for a file of unknown size", str(partial.path))


@contextmanager
def _network() -> Iterator[None]:
    """Sort what requests raises: try again, or take the next mirror."""
    try:
        yield
    except requests.TooManyRedirects as error:
        raise Final("the server redirects in a circle") from error
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
        raise Final(f"the server redirects to what is no web address ({error})") from error
    except requests.exceptions.SSLError as error:
        raise Final(f"the server's certificate is not accepted ({error})") from error
    except requests.Timeout as error:
        raise Transient("no byte came in time") from error
    except requests.ConnectionError as error:
        stalled = "timed out" in str(error)
        raise Transient("no byte came in time" if stalled else _reason(error)) from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise Transient("the connection broke off") from error
    except requests.RequestException as error:  # an OSError too, which is no fault of the disk
        raise Transient(str(error)) from error


def _reason(error: Exception) -> str:
    text = str(error)
    for sign, meaning in (
        ("refused", "the server refuses connections"),
        ("resolve", "the server's name is not known here; is there a network?"),
        ("IncompleteRead", "the connection broke off"),
        ("reset", "the connection broke off"),
    ):
        if sign in text:
            return meaning
    return f"the connection failed ({text})"


def _check_answer(got: requests.Response) -> None:
    if downgraded([answer.url for answer in (*got.history, got)]):
        raise Final("the server redirects from https to http, where anyone could change the file")
    code = got.status_code
    if code >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _BUSY:
        raise Transient(f"the server answers {code} {got.reason}")
    if not got.ok and code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise Final(f"the server answers {code} {got.reason}")


def downgraded(urls: Sequence[str]) -> bool:
    """Return whether a chain of redirects leaves https for http."""
    schemes = [urlsplit(url).scheme for url in urls]
    return ("https", "http") in pairwise(schemes)


def _validator(got: requests.Response) -> str | None:
    """Return a strong ETag or else the date of change; a weak tag promises no equal bytes."""
    tag = got.headers.get("ETag", "")
    return tag if tag.startswith('"') else got.headers.get("Last-Modified")
