"""A real HTTP server on this machine that misbehaves as told."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Answer:
    """What one request for one path gets."""

    content: bytes = b""  # the whole file
    status: int = 200  # of the answer; 206 is chosen where a range is granted
    headers: dict[str, str] = field(default_factory=dict)  # beside Content-Length
    ranges: bool = False  # whether a range is granted, provided that If-Range names the ETag
    cut: int | None = None  # close the connection after this many bytes of the body
    stall: int | None = None  # send this many bytes of the body and then nothing more
    length: int | None = None  # what Content-Length says; None says the truth, -1 leaves it out


class FlakyServer:
    """Serves each path from its list of answers, the last one again and again.

    Attributes:
        answers: Path → answers, e.g. ``/set.zip``.
        asked: Path and Range header of every request so far.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.closing = threading.Event()
        outer = self

        class Handler(_Handler):
            server_of_faults = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )

    @property
    def url(self) -> str:
        """Address of the server, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def serve(self, path: str, *answers: Answer) -> str:
        """Answer requests for ``path`` so; return its address."""
        self.answers[path] = list(answers)
        return self.url + path

    def next_answer(self, path: str) -> Answer:
        """Return what the next request for ``path`` gets; 404 where nothing is served."""
        held = self.answers.get(path, [Answer(b"not here", status=404)])
        return held.pop(0) if len(held) > 1 else held[0]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_of_faults: FlakyServer

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server_of_faults.asked.append((self.path, asked))
        answer = self.server_of_faults.next_answer(self.path)
        start = self._start(answer, asked)
        body = answer.content[start:]
        self._head(answer, start, body)
        try:
            self._body(answer, body)
        except (BrokenPipeError, ConnectionResetError):  # the client has gone
            self.close_connection = True

    def _start(self, answer: Answer, asked: str | None) -> int:
        same = self.headers.get("If-Range") == answer.headers.get("ETag")
        granted = answer.ranges and asked is not None and same
        return int((asked or "").removeprefix("bytes=").split("-")[0]) if granted else 0

    def _head(self, answer: Answer, start: int, body: bytes) -> None:
        self.send_response(206 if start else answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if start:
            total = len(answer.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if answer.length != -1:
            self.send_header("Content-Length", str(answer.length or len(body)))
        self.end_headers()

    def _body(self, answer: Answer, body: bytes) -> None:
        if answer.stall is not None:
            self.wfile.write(body[: answer.stall])
            self.wfile.flush()
            self.server_of_faults.closing.wait(30)
            return
        self.wfile.write(body if answer.cut is None else body[: answer.cut])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def after(*first: Answer, then: Answer) -> Sequence[Answer]:
    """Return answers that are given once each, and the one that is given from then on."""
    return [*first, then]
