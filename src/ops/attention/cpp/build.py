"""Compile a C++ file of this folder once for this machine and load it."""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from src.core.files import sha256, write_text
from src.core.paths import user_cache

logger = logging.getLogger(__name__)

FLAGS = (
    *("-O3", "-march=native", "-std=c++17", "-ffp-contract=fast", "-fno-math-errno"),
    *("-fopenmp", "-shared", "-fPIC"),
)
COMPILERS = ("g++", "c++", "clang++")


@functools.cache
def load(stem: str) -> ctypes.CDLL | None:
    """Return the library made of ``<stem>.cpp``, or None where it cannot be compiled.

    It is compiled once (a few seconds) into the user's cache, under a name that depends on source,
    compiler and processor; several processes may do so at once. With ``EXEMPLAR_NATIVE=0`` nothing
    is compiled. One log line says why there is none.
    """
    if os.environ.get("EXEMPLAR_NATIVE") == "0":
        return None
    source = Path(__file__).with_name(f"{stem}.cpp")
    try:
        return ctypes.CDLL(str(_compiled(source)))
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or error
        logger.info("%s stays in PyTorch, which is slower: %s", stem, str(detail).strip()[-300:])
        return None


def _compiled(source: Path) -> Path:
    """Return the library of ``source``, compiling it unless it is in the cache.

    Raises:
        OSError: If there is no compiler or the cache cannot be written.
        subprocess.SubprocessError: If the compiler fails.
    """
    compiler = os.environ.get("CXX") or next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise FileNotFoundError(f"no C++ compiler ({', '.join(COMPILERS)}; or set CXX)")
    version = subprocess.run(  # noqa: S603
        [compiler, "--version"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    headers = sorted(source.parent.glob("*.h"))
    sources = [path.read_text() for path in (source, *headers)]
    parts = (*sources, version, _processor(), *FLAGS)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    folder = user_cache()
    target = folder / f"{source.stem}-{digest}.so"
    note = target.with_suffix(".sha256")  # a library that was cut short would end the process
    if target.is_file() and note.is_file() and note.read_bytes() == sha256(target).encode():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        made = Path(temporary) / target.name
        subprocess.run(  # noqa: S603
            [compiler, *FLAGS, str(source), "-o", str(made)],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        own = sha256(made)
        made.replace(target)  # atomic: another process sees all of it or nothing
    write_text(note, own)
    return target


def _processor() -> str:
    """Return what -march=native depends on: the processor and what it can do."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    features = sorted({line for line in lines if line.startswith(("model name", "flags"))})
    return platform.machine() + platform.processor() + "".join(features)
