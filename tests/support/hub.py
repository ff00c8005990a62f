"""A hub on this machine: what `huggingface_hub` asks of the real one, and faults on demand."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_of_the_tests"  # noqa: S105  of nobody
"""With it one may write, and read what is private."""


@dataclass
class Fault:
    """What becomes of requests in place of an answer.

    Attributes:
        request: Regular expression of method and path, e.g. ``GET .*/resolve/``.
        status: Answered; 0 keeps the answer as it is.
        cut: Close the connection after so many bytes of what is sent or received.
        times: How often it happens.
        code: Of the hub, in the header X-Error-Code.
    """

    request: str
    status: int = 0
    cut: int | None = None
    times: int = 1000
    code: str = ""


@dataclass
class Repository:
    """Commits, the newest last: hash and files."""

    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    private: bool = False

    def commit(self, files: dict[str, bytes]) -> str:
        sha = _git(repr((len(self.commits), sorted(files))).encode())
        self.commits.append((sha, files))
        return sha


class Hub:
    """The state of the hub.

    Attributes:
        repositories: ``owner/name`` → commits.
        objects: SHA-256 → large file that was uploaded.
        lies: Path of a file → what is sent in its place.
        tag: What is sent in place of every file's ETag; empty: the file's own.
        faults: Tried in order.
        asked: Method and path of each request.
        agents: User agents seen.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.lies: dict[str, bytes] = {}
        self.tag = ""
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.agents: set[str] = set()
        self.url = ""

    def add(self, name: str, files: dict[str, bytes]) -> str:
        return self.repositories.setdefault(name, Repository()).commit(files)

    def fault(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and re.match(fault.request, request):
                fault.times -= 1
                return fault
        return None


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve an empty hub."""
    hub = Hub()

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815  names of http.server

    def _answer(self) -> None:
        request = f"{self.command} {self.path}"
        self.state.asked.append(request)
        self.state.agents.add(self.headers.get("User-Agent", ""))
        fault = self.state.fault(request)
        length = int(self.headers.get("Content-Length") or 0)
        if fault is not None and fault.cut is not None and self.command == "PUT":
            self.rfile.read(min(fault.cut, length))
            self.close_connection = True
            self.connection.close()
            return
        body = self.rfile.read(length)
        if fault is not None and fault.status:
            self._send(fault.status, b"{}", {"X-Error-Code": fault.code, "Retry-After": "0"})
            return
        try:
            status, content, headers = self._routed(body)
        except KeyError:
            status, content, headers = 404, b"{}", {"X-Error-Code": "RepoNotFound"}
        self._send(status, content, headers, None if fault is None else fault.cut)

    def _send(
        self, status: int, content: bytes, headers: dict[str, str], cut: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", headers.get("Content-Length", str(len(content))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content if cut is None else content[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True

    def _routed(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        path = self.path.partition("?")[0]
        at = r"/(?P<name>[^/]+/[^/]+)"
        routes = {
            rf"GET /api/models{at}(/revision/(?P<revision>[^/]+))?": self._info,
            rf"(GET|HEAD) {at}/resolve/(?P<revision>[^/]+)/(?P<file>.+)": self._file,
            r"POST /api/repos/create": self._create,
            r"POST /api/validate-yaml": lambda body: _json({}),
            rf"POST /api/models{at}/preupload/(?P<revision>[^/]+)": self._modes,
            rf"POST {at}\.git/info/lfs/objects/batch": self._batch,
            r"PUT /upload/(?P<oid>\w+)": self._upload,
            rf"POST /api/models{at}/commit/(?P<revision>[^/]+)": self._commit,
        }
        for pattern, route in routes.items():
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                if self.command in {"POST", "PUT"} and path != "/api/validate-yaml":
                    self._authorised(upload="oid" in match.groupdict())
                return route(body, **match.groupdict())  # type: ignore[operator]
        return 404, b"{}", {}

    def _authorised(self, *, upload: bool) -> None:
        if not upload and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise KeyError("token")

    def _files(self, name: str, revision: str | None) -> tuple[str, dict[str, bytes]]:
        repository = self.state.repositories[name]
        if repository.private:
            self._authorised(upload=False)
        commits = dict(repository.commits)
        sha = repository.commits[-1][0] if revision in {None, "main"} else str(revision)
        return sha, commits.get(sha, {})

    def _info(self, body: bytes, name: str, revision: str | None) -> tuple[int, bytes, Any]:
        sha, files = self._files(name, revision)
        if not files:
            return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
        siblings = []
        for file, content in files.items():
            about: dict[str, Any] = {
                "rfilename": file,
                "size": len(content),
                "blobId": _git(content),
            }
            if _is_large(file):
                digest = hashlib.sha256(content).hexdigest()
                about["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(about)
        return _json({"id": name, "sha": sha, "private": False, "siblings": siblings})

    def _file(self, body: bytes, name: str, revision: str, file: str) -> tuple[int, bytes, Any]:
        sha, files = self._files(name, revision)
        if file not in files:
            return 404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha}
        content = self.state.lies.get(file, files[file])
        own = hashlib.sha256(files[file]).hexdigest() if _is_large(file) else _git(files[file])
        tag = self.state.tag or own
        headers = {"X-Repo-Commit": sha, "ETag": f'"{tag}"', "X-Linked-Size": str(len(content))}
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if self.command == "HEAD":
            return 200, b"", {**headers, "Content-Length": str(len(content))}
        if start is None:
            return 200, content, headers
        first = int(start[1])
        headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        return 206, content[first:], headers

    def _create(self, body: bytes) -> tuple[int, bytes, Any]:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        answer = {"url": f"{self.state.url}/{name}", "id": name, "name": name}
        if name in self.state.repositories:
            return 409, json.dumps(answer).encode(), {}
        private = asked.get("private") or asked.get("visibility") == "private"
        self.state.repositories[name] = Repository(private=bool(private))
        self.state.add(name, {".gitattributes": b"*.safetensors filter=lfs"})
        return _json(answer)

    def _modes(self, body: bytes, name: str, revision: str) -> tuple[int, bytes, Any]:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if _is_large(file["path"]) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        return _json({"files": files})

    def _batch(self, body: bytes, name: str) -> tuple[int, bytes, Any]:
        objects = []
        for asked in json.loads(body)["objects"]:
            answer = dict(asked)
            if asked["oid"] not in self.state.objects:
                href = f"{self.state.url}/upload/{asked['oid']}"
                answer["actions"] = {"upload": {"href": href, "header": {}}}
            objects.append(answer)
        return _json({"transfer": "basic", "objects": objects})

    def _upload(self, body: bytes, oid: str) -> tuple[int, bytes, Any]:
        if hashlib.sha256(body).hexdigest() != oid:
            return 400, b"{}", {}
        self.state.objects[oid] = body
        return 200, b"", {}

    def _commit(self, body: bytes, name: str, revision: str) -> tuple[int, bytes, Any]:
        files = dict(self.state.repositories[name].commits[-1][1])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.state.objects[value["oid"]]
        sha = self.state.add(name, files)
        return _json({"success": True, "commitOid": sha, "commitUrl": f"{self.state.url}/{name}"})


def _is_large(file: str) -> bool:
    return file.endswith((".safetensors", ".bin"))


def _git(content: bytes) -> str:
    digest = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False)
    return digest.hexdigest()


def _json(content: object) -> tuple[int, bytes, dict[str, str]]:
    return 200, json.dumps(content).encode(), {"Content-Type": "application/json"}
