"""The disks: room, whole files, locks, and whether all machines see the same."""

import fcntl
import math
import os
import shutil
import time
from pathlib import Path

from src.commands.doctor.finding import Finding, note, right, wrong
from src.core.paths import from_root
from src.core.types import PlainConfig

GIB = 2**30
_BLOCK = 2**24  # bytes, to measure writing with
_PATIENCE_S = 10.0  # a network disk may show a new file only after some seconds

TOKEN, LOCK, FIRST = "token", "lock", "first"


def check_storage(config: PlainConfig) -> list[Finding]:
    """Look at the folders that a training writes, and at that of the data."""
    paths = config["paths"]
    free = float(config["free_gib"])
    written = [
        _check_written(name, from_root(str(paths[name])), free)
        for name in ("output_root", "cache_dir")
    ]
    return [*written, _check_data(from_root(str(paths["data_dir"])))]


def _check_written(name: str, folder: Path, free_gib: float) -> Finding:
    check = f"paths.{name}"
    place = folder / f".doctor-{os.uname().nodename}-{os.getpid()}"
    try:
        place.mkdir(parents=True)
        try:
            return _try_out(check, place, free_gib)
        finally:
            shutil.rmtree(place)
    except OSError as error:
        advice = f"{check}=<a folder that can be written>, or change its owner or mount"
        return wrong(check, f"{folder}: {error.strerror or error}", advice)


def _try_out(check: str, place: Path, free_gib: float) -> Finding:
    begun = time.monotonic()
    target, new = place / "file", place / ".file.new"
    target.write_bytes(b"old")
    with new.open("wb") as file:
        file.write(bytes(_BLOCK))
        file.flush()
        os.fsync(file.fileno())
    rate = _BLOCK / 2**20 / (time.monotonic() - begun)
    with target.open("rb") as reader:  # one who reads must see the old file whole, or the new
        new.replace(target)
        if reader.read() != b"old" or target.stat().st_size != _BLOCK:
            return wrong(check, f"{place.parent}: renaming is not atomic", "use another disk")
    if not _locks(place / "own_lock"):
        advice = "mount it with locks (NFS: without nolock, Lustre: -o flock), or use another disk"
        return wrong(check, f"{place.parent}: file locks have no effect", advice)
    left = shutil.disk_usage(place).free / GIB
    # rounded down, so that processes that see the same disk say the same
    found = f"{place.parent}: writable, {_rough(left)} GiB free, {_order(rate):g} MiB/s or more"
    if left < free_gib:
        return wrong(check, found, f"make room, or free_gib={left * 0.9:.1f} if that will do")
    return right(check, found)


def _rough(number: float) -> str:
    """Return ``number`` rounded down to two digits."""
    unit = _order(number) / 10
    return f"{math.floor(number / unit) * unit:g}"


def _order(number: float) -> float:
    """Return the power of ten that ``number`` reaches, as 100.0 for 305."""
    return float(10.0 ** math.floor(math.log10(max(number, 1e-3))))


def _locks(path: Path) -> bool:
    with path.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        return not can_lock(path)


def can_lock(path: Path) -> bool:
    """Say whether a lock on ``path`` can be had, which is given back at once."""
    with path.open("r+") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _check_data(folder: Path) -> Finding:
    check = "paths.data_dir"
    if not folder.is_dir():
        return note(check, f"{folder}: not there", "python -m src.prepare, if a data set is used")
    if not os.access(folder, os.R_OK | os.X_OK):
        return wrong(check, f"{folder}: cannot be read", "change its owner or mode")
    try:
        count = sum(1 for _ in folder.iterdir())
    except OSError as error:
        return wrong(check, f"{folder}: {error.strerror}", "is its disk mounted?")
    return right(check, f"{folder}: {count} entries")


def wait_for(path: Path) -> float | None:
    """Wait until ``path`` is there; return the seconds, None where it does not come."""
    begun = time.monotonic()
    while not path.exists():
        if time.monotonic() - begun > _PATIENCE_S:
            return None
        os.scandir(path.parent).close() if path.parent.is_dir() else None  # refreshes NFS's cache
        time.sleep(0.1)
    return time.monotonic() - begun


def is_first(folder: Path) -> bool:
    """Say whether this process is the one that makes a file that only one can make."""
    try:
        (folder / FIRST).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
