"""What networks, servers, archives and disks do to ``python -m src.prepare``, and what it does.

``python -m tools.download_faults`` prints fault, outcome and message as a Markdown table.
"""

import contextlib
import hashlib
import io
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from PIL import Image

from src.commands.prepare.command import prepare
from src.core.errors import ExemplarError
from tests.support.compose import compose_config
from tests.support.images import pixels
from tests.support.runs import Finished
from tools.flaky_server import Answer, FlakyServer

QUICK = ("timeout=0.3", "attempts=2", "wait=0")
TAG = {"ETag": '"one"'}


def png(seed: int, height: int = 120, width: int = 160) -> bytes:
    """Return an image of noise as PNG, about 58 kB."""
    file = io.BytesIO()
    Image.fromarray(pixels(height, width, seed=seed)).save(file, "PNG")
    return file.getvalue()


IMAGES = {f"Set5/HR/{name}.png": png(seed) for seed, name in enumerate("abcde")}


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(files: dict[str, bytes], *special: tarfile.TarInfo, mode: str = "w:gz") -> bytes:
    """Return a tar archive; ``special`` members hold no bytes."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in special:
            archive.addfile(member)
    return file.getvalue()


GOOD = zipped(IMAGES)
SUM = f"sha256:{hashlib.sha256(GOOD).hexdigest()}"


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return a link or a device for :func:`tarred`."""
    special = tarfile.TarInfo(name)
    special.type, special.linkname = kind, target
    return special


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    name: str  # what
    # Path → what the server does; the first path is the first mirror.
    answers: dict[str, Sequence[Answer]]
    says: tuple[str, ...] = ()  # fragments that standard error must hold
    survived: bool = False  # whether the set is there in the end
    keeps: bool = False  # whether bytes are kept for the next time
    checksum: str | None = None  # published for the file, or none
    size: int | None = None  # published for the file, or none
    words: tuple[str, ...] = ()  # what is typed beside

    def run(self, server: FlakyServer, data_dir: Path) -> Finished:
        """Prepare Set5 from ``server``, as the command does once its words are accepted."""
        for path, answers in self.answers.items():
            server.serve(path, *answers)
        mirrors = [
            {"url": server.url + path, "bytes": self.size, "checksum": self.checksum}
            for path in self.answers
        ]
        typed = OmegaConf.from_dotlist([*QUICK, *self.words, f"paths.data_dir={data_dir}"])
        cfg = OmegaConf.merge(_composed(), typed)
        cfg.dataset.set5.archives = [mirrors]
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            try:
                prepare(cfg)
            except ExemplarError as error:
                return Finished(1, "", f"{said.getvalue()}error: {error}")
        return Finished(0, "", said.getvalue())


@cache
def _composed() -> DictConfig:
    return compose_config("dataset=set5", "dataset.set5.sizes=[[160,120]]", config_name="prepare")


def _once(path: str, *answers: Answer) -> dict[str, Sequence[Answer]]:
    return {path: answers}


def _zip(*answers: Answer) -> dict[str, Sequence[Answer]]:
    return {"/set5.zip": answers}


def _archive(content: bytes, name: str = "/set5.tar.gz") -> dict[str, Sequence[Answer]]:
    return {name: [Answer(content)]}


WHOLE = Answer(GOOD)
HALF = len(GOOD) // 2
RESUMABLE = Answer(GOOD, headers=TAG, ranges=True)
CUT = Answer(GOOD, headers=TAG, ranges=True, cut=HALF)
OTHER = zipped({name.replace("HR/", "HR/x"): data for name, data in IMAGES.items()})

NETWORK = [
    Fault("nothing goes wrong", _zip(WHOLE), ("5 images in", "on trust"), survived=True),
    Fault("published checksum agrees", _zip(WHOLE), survived=True, checksum=SUM, size=len(GOOD)),
    Fault(
        "drops mid-way, then resumes",
        _zip(CUT, RESUMABLE),
        ("connection", "trying again"),
        survived=True,
    ),
    Fault(
        "drops at every tenth",
        _zip(*(Answer(GOOD, headers=TAG, ranges=True, cut=len(GOOD) // 10) for _ in range(12))),
        ("trying again",),
        survived=True,
    ),
    Fault(
        "drops mid-way, no Range support",
        _zip(Answer(GOOD, cut=HALF), WHOLE),
        ("trying again",),
        survived=True,
    ),
    Fault(
        "file changes between drop and resume",
        _zip(CUT, Answer(OTHER, headers={"ETag": '"two"'}, ranges=True)),
        survived=True,
    ),
    Fault(
        "always truncates",
        _zip(Answer(GOOD, headers=TAG, cut=HALF)),
        ("could not be downloaded", "2 attempts", "source=", "Kept, and resumed next time"),
        keeps=True,
    ),
    Fault("stalls at once", _zip(Answer(GOOD, stall=0)), ("no byte came in time", "mirror=")),
    Fault(
        "stalls mid-way, then resumes",
        _zip(Answer(GOOD, headers=TAG, ranges=True, stall=HALF), RESUMABLE),
        ("no byte came in time",),
        survived=True,
    ),
    Fault(
        "redirects",
        {"/old.zip": [Answer(status=302, headers={"Location": "/new.zip"})], "/new.zip": [WHOLE]},
        survived=True,
    ),
    Fault(
        "redirects in a circle",
        _once("/a.zip", Answer(status=302, headers={"Location": "/a.zip"})),
        ("redirects in a circle",),
    ),
    Fault(
        "redirects to a file of this machine",
        _once("/a.zip", Answer(status=302, headers={"Location": "file:///etc/passwd"})),
        ("no web address",),
    ),
    Fault(
        "404, then the next mirror",
        {"/gone.zip": [Answer(status=404)], "/set5.zip": [WHOLE]},
        ("404",),
        survived=True,
    ),
    Fault("404 everywhere", _zip(Answer(status=404)), ("404", "Try again later", "source=")),
    Fault("503, then well", _zip(Answer(status=503), WHOLE), ("503",), survived=True),
    Fault("500 for ever", _zip(Answer(status=500)), ("500", "2 attempts")),
    Fault(
        "wrong bytes, then the next mirror",
        {"/bad.zip": [Answer(GOOD[:-5] + b"wrong")], "/set5.zip": [WHOLE]},
        ("not the published file", "deleted"),
        survived=True,
        checksum=SUM,
    ),
    Fault(
        "wrong bytes everywhere",
        _zip(Answer(GOOD[:-5] + b"wrong")),
        ("its sha256 is", "It was deleted"),
        checksum=SUM,
    ),
    Fault("wrong size", _zip(WHOLE), ("not the published 999",), size=999),
    Fault(
        "more bytes than published",
        _zip(Answer(GOOD, length=-1)),
        ("sent more than the 999 bytes",),
        size=999,
    ),
    Fault(
        "a page in place of the archive",
        _zip(Answer(b"<!DOCTYPE html><title>Log in</title>")),
        ("no zip or tar archive", "a page of text or HTML"),
    ),
    Fault(
        "calls a compressed tar an encoding",
        {"/a.tar.gz": [Answer(tarred(IMAGES), headers={"Content-Encoding": "x-gzip"})]},
        survived=True,
    ),
    Fault(
        "more than the disk can hold",
        _zip(Answer(GOOD, length=10**15)),
        ("There is no room for the download", "1,000,000.000 GB are needed", "paths.data_dir="),
    ),
]

ARCHIVES = [
    Fault("tar.gz, read as zip is", _archive(tarred(IMAGES)), survived=True),
    Fault("plain tar", _archive(tarred(IMAGES, mode="w"), "/a.tar"), survived=True),
    Fault("zip cut short", _archive(GOOD[:HALF], "/a.zip"), ("no zip or tar archive", "damaged")),
    Fault(
        "tar.gz cut short",
        _archive(tarred(IMAGES)[:HALF]),
        ("damaged or cut short", "download it again"),
    ),
    Fault(
        "zip with a flipped byte",
        _archive(GOOD[:3000] + bytes([GOOD[3000] ^ 255]) + GOOD[3001:], "/a.zip"),
        ("damaged or cut short",),
    ),
    Fault(
        "path that climbs out",
        _archive(zipped({**IMAGES, "../../evil.png": b"x"}), "/a.zip"),
        ("'../../evil.png'", "outside its folder"),
    ),
    Fault(
        "absolute path",
        _archive(tarred({**IMAGES, "/etc/evil.png": b"x"})),
        ("'/etc/evil.png'", "outside its folder"),
    ),
    Fault(
        "Windows path",
        _archive(zipped({**IMAGES, "C:\\evil.png": b"x"}), "/a.zip"),
        ("outside its folder",),
    ),
    Fault(
        "link in place of an image",
        _archive(
            tarred(
                dict(list(IMAGES.items())[1:]),
                member("Set5/HR/a.png", tarfile.SYMTYPE, "/etc/passwd"),
            )
        ),
        ("is a link or a device",),
    ),
    Fault(
        "device in place of an image",
        _archive(tarred(dict(list(IMAGES.items())[1:]), member("Set5/HR/a.png", tarfile.CHRTYPE))),
        ("is a link or a device",),
    ),
    Fault(
        "bomb in a zip",
        _archive(zipped({**IMAGES, "Set5/zero.bin": bytes(4_000_000)}), "/a.zip"),
        ("decompression bomb", "above the limit of 10", "limits.ratio="),
        words=("limits.ratio=10",),
    ),
    Fault(
        "bomb in a tar.gz",
        _archive(tarred({**IMAGES, "Set5/zero.bin": bytes(4_000_000)})),
        ("decompression bomb", "above the limit of 10", "limits.ratio="),
        words=("limits.ratio=10",),
    ),
    Fault(
        "too many members",
        _archive(zipped({**IMAGES, **{f"{n}.txt": b"" for n in range(50)}}), "/a.zip"),
        ("members 55 is above the limit of 20", "limits.members="),
        words=("limits.members=20",),
    ),
    Fault(
        "another set",
        _archive(zipped(dict(list(IMAGES.items())[:3])), "/a.zip"),
        ("set5 has 5 images", "Set5/HR/*: 3", "partial=true"),
    ),
    Fault(
        "an image that is none",
        _archive(zipped({**IMAGES, "Set5/HR/a.png": b"hello"}), "/a.zip"),
        ("a.png", "is not an image"),
    ),
    Fault(
        "images of another size",
        _archive(GOOD, "/a.zip"),
        ("160×120 pixels", "have 481×321", "another set"),
        words=("dataset.set5.sizes=[[481,321]]",),
    ),
]

ALL = [*NETWORK, *ARCHIVES]


def left(data_dir: Path) -> list[str]:
    """Return the names of all that is in ``data_dir``."""
    return sorted(path.name for path in data_dir.iterdir())


def main() -> None:
    """Print the table."""
    lines = ["| fault | exit | set there | kept | message |", "|---|---|---|---|---|"]
    for fault in ALL:
        with tempfile.TemporaryDirectory() as name, FlakyServer() as server:
            done = fault.run(server, Path(name))
            there = (Path(name) / "set5/manifest.json").is_file()
            kept = any(Path(name).rglob("*.part"))
            text = done.err.replace(name, "…").replace(server.url, "http://server")
            lines.append(_row(fault.name, done.code, there, kept, text))
    sys.stdout.write("\n".join(lines) + "\n")


def _row(name: str, code: int, there: bool, kept: bool, text: str) -> str:
    said = text[max(text.rfind("error: "), 0) :] if code else text
    shown = [line for line in said.splitlines() if "━" not in line and line.strip()]
    message = "<br>".join(shown).replace("|", "\\|")
    words: Callable[[bool], str] = lambda is_so: "yes" if is_so else "no"  # noqa: E731
    return f"| {name} | {code} | {words(there)} | {words(kept)} | {message} |"


if __name__ == "__main__":
    main()
