"""Weights & Biases that cannot be reached, or will not have us."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from src.app.processes.group import free_port
from tests.support.runs import Finished
from tools.faults.scene import Fault, Scene, ended, goes_on, nothing_left, read_only

KEY = "0123456789abcdef" * 2 + "01234567"

SHORT = ("trainer.max_steps=4", "trainer.val_check_interval=4", "logger=wandb")


class _Refusing(BaseHTTPRequestHandler):
    """Answers as W&B's server does to a key that it does not know."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = json.dumps({"errors": [{"message": "user is not logged in"}]}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def _refusing_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _logged(scene: Scene, url: str, key: str = KEY) -> Finished:
    home = scene.here / "home"
    home.mkdir()
    env = {"WANDB_BASE_URL": url, "WANDB_API_KEY": key, "HOME": str(home), "NETRC": str(home / "n")}
    words = (*SHORT, "logger.wandb.mode=online", "logger.wandb.timeout=5")
    done = ended(scene.start(*words, env=env))
    assert key == "" or key not in done.out + done.err, "the key was shown"
    return Finished(done.code, done.out, done.out + done.err)


def _no_key(scene: Scene) -> Finished:
    return _logged(scene, f"http://127.0.0.1:{free_port()}", key="")


def _dead_address(scene: Scene) -> Finished:
    return _logged(scene, f"http://127.0.0.1:{free_port()}")


def _bad_key(scene: Scene) -> Finished:
    with _refusing_server() as url:
        return _logged(scene, url)


def _folder_read_only(scene: Scene) -> Finished:
    folder = scene.run / "wandb"
    folder.mkdir(parents=True)
    with read_only(folder):
        done = ended(scene.start(*SHORT, "logger.wandb.mode=offline"))
    return Finished(done.code, done.out, done.out + done.err)


def _logged_offline(scene: Scene) -> str:
    (file,) = scene.run.glob("wandb/offline-run-*/*.wandb")
    assert file.stat().st_size
    assert len((scene.run / "metrics.csv").read_text().splitlines()) > 4
    return f"W&B run kept offline; {goes_on(scene)}"


LOGGING = [
    Fault(
        *("W&B without a key", "online, no key anywhere", _no_key, _logged_offline, 0),
        ("No W&B key", "logged offline", "wandb sync"),
    ),
    Fault(
        *("W&B server unreachable", "online, nobody at its address", _dead_address),
        *(_logged_offline, 0, ("did not answer", "logged offline")),
    ),
    Fault(
        *("W&B key refused", "a server that answers 401", _bad_key, _logged_offline, 0),
        ("logged offline",),
    ),
    Fault(
        *("W&B folder read-only", "read-only mount, offline", _folder_read_only, nothing_left, 1),
        ("run/wandb/offline-run-", "Read-only file system"),
        root=True,
    ),
]
