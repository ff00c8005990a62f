"""Where a result came from: commit, versions, hardware, command."""

import functools
import hashlib
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import psutil
import torch

from src.core import __version__
from src.core.paths import INSTALLED, PACKAGE, ROOT

DECISIVE = ("torch", "torchmetrics", "lightning", "numpy", "pillow", "kornia")
"""Packages whose arithmetic a score may depend on."""

_HEAD = re.compile(r"^(Name|Version): (.+)$", re.MULTILINE)


def origin() -> dict[str, Any]:
    """Return version and commit, as every checkpoint and record carries them."""
    return {"version": __version__, "commit": commit()}


@functools.cache
def code() -> str:
    """Return a hash of the sources of this package, as they are when first asked."""
    files = (path for kind in ("py", "cpp", "h") for path in PACKAGE.rglob(f"*.{kind}"))
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(PACKAGE)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def environment() -> dict[str, Any]:
    """Return commit, uncommitted changes, command, versions and hardware, all plain."""
    return {
        **origin(),
        "uncommitted": _checkout()[1],
        "command": [sys.executable, *sys.argv],
        "python": platform.python_version(),
        "packages": dict(_packages()),
        "hardware": hardware(),
    }


@functools.cache
def _packages() -> dict[str, str]:
    """Return name and version of all installed packages; read once, since each is a file."""
    described = (
        dist.read_text("METADATA") or dist.read_text("PKG-INFO") for dist in distributions()
    )
    heads = (dict(_HEAD.findall((text or "").partition("\n\n")[0])) for text in described)
    packages = {head["Name"]: head["Version"] for head in heads if head}
    return {name: packages[name] for name in sorted(packages, key=str.lower)}


def versions() -> dict[str, str]:
    """Return Python's version and those of the packages that can move a score."""
    return {"python": platform.python_version(), **{name: version(name) for name in DECISIVE}}


def emulates_bf16() -> bool:
    """Return whether this processor computes in bfloat16 only by way of float32.

    So do x86 processors without AVX-512: convolutions then take forty times as long as in float32.
    """
    x86 = platform.machine() in {"x86_64", "AMD64"}
    return x86 and not torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def hardware() -> dict[str, Any]:
    """Return what it runs on: system, processor, cores, memory, GPUs."""
    gpus = range(torch.cuda.device_count())
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(index) for index in gpus],
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def commit() -> str:
    """Return the checkout's commit, ``+changes`` where files differ; ``unknown`` without one."""
    head, changes = _checkout()
    return f"{head}+changes" if head != "unknown" and changes else head


@functools.cache
def _checkout() -> tuple[str, list[str]]:
    """Return commit and changed files as they are when first asked: nearest to what was imported.

    An installed package has none: the repository around the current folder is the user's own.
    """
    if INSTALLED:
        return "unknown", []
    return _git("rev-parse", "HEAD").strip() or "unknown", _git(
        "status", "--porcelain"
    ).splitlines()


def _processor() -> str:
    """Return the processor's name, of one of x86 with the numbers that tell its generation.

    In virtual machines names are cut short: three generations are called "AMD EPYC", the last of
    which computes three times as fast as the first.
    """
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        told = ""
    lines = (line.partition(":") for line in told.partition("\n\n")[0].splitlines())
    about = {key.strip(): value.strip() for key, _, value in lines}
    name = about.get("model name") or platform.processor() or platform.machine()
    if "cpu family" not in about:
        return name
    return f"{name} (family {about['cpu family']}, model {about.get('model', 'unknown')})"


def _git(*arguments: str) -> str:
    try:
        result = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout if result.returncode == 0 else ""
