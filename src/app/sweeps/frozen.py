"""The configuration files of a sweep, copied before its first job: later edits change no job."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import DictConfig

from src.app.config.check import Request
from src.app.config.typed import noted, remember, with_folders
from src.app.sweeps.plan import SweepPlan, sweep_plan
from src.core.errors import ConfigError, UntrustedError
from src.core.files import write_json
from src.core.paths import user_cache

FOLDER = "frozen"
"""In the folder of the sweep: its files as they were, those of conf/ in 0/."""

_SWEPT = "swept.json"
_OWN = "frozen_sweeps.json"  # the hashes of what this user has frozen
_GRID = "hydra.sweeper._target_=hydra_plugins.exemplar_sweeper.sweeper.GridSweeper"


@dataclass(frozen=True)
class Sweep:
    """A sweep that may start."""

    folder: Path  # where its jobs get theirs
    request: Request  # what was typed, reading the copies
    launcher: str  # dotted name of who starts them
    changed: tuple[str, ...] = ()  # files that are not any more as they were when the sweep began


def open_sweep(request: Request, cfg: DictConfig, *, started_again: bool) -> Sweep:
    """Freeze the files of a sweep, or take those that it was begun with; Hydra must be initialised.

    A comparison is frozen as it is now each time, beside what others that run it have frozen: its
    finished cells are kept if they are the same.
    ``cfg`` is that of its first job; a scheduler may have ``started_again`` the command.

    Raises:
        ConfigError: If its folder has the jobs of another sweep, or of this one and nobody has
            asked to go on.
        UntrustedError: If its frozen files are others than this user's, and were not frozen here.
    """
    plan = sweep_plan(request, cfg)
    sources = [Path(request.config_dir), *(Path(text) for text in plan.search_path)]
    store, goes_on = plan.folder / FOLDER, plan.resumable and _has_jobs(plan.folder)
    if plan.compares:  # others may be running its cells, from the files as they were for them
        store = store.with_name(f"{FOLDER}_{_digest_of(sources, plan.folder)[:12]}")
    if goes_on:
        _refuse_another(plan, store, started_again=started_again)
    kept = (goes_on or plan.compares) and store.is_dir()
    changed = list(_changed(sources, store, plan.folder)) if kept else []
    if not kept or (changed and plan.compares):
        _copy_all(sources, store, plan)
        changed = []
    elif changed and _digest_in(store) not in noted(_OWN):
        raise UntrustedError(
            f"{store}: refused, because these files differ from yours, and it is not known "
            "here that you have frozen them yourself; what they name is called. If they are as "
            f"you want them, put them in place of {', '.join(changed[:3])}; else choose "
            "another hydra.sweep.dir."
        )
    copies = [str(store / str(number)) for number in range(len(sources))]
    remember(copies[1:])
    frozen = with_folders(request.overrides, [*copies[1:], *plan.packages])
    if not plan.searches:
        frozen.append(_GRID)
    return Sweep(
        plan.folder,
        replace(request, config_dir=copies[0], overrides=tuple(frozen)),
        plan.launcher,
        tuple(changed),
    )


def _has_jobs(folder: Path) -> bool:
    jobs = folder.glob("[0-9]*") if folder.is_dir() else ()
    return any(job.is_dir() and any(job.iterdir()) for job in jobs)


def _refuse_another(plan: SweepPlan, store: Path, *, started_again: bool) -> None:
    """Refuse to write into the folders of jobs that are others, or that nobody wants to go on."""
    if plan.searches:  # each trial gets a folder of its own
        return
    if not (plan.resumes or started_again):
        raise ConfigError(
            f"{plan.folder} holds the jobs of a sweep already. Go on with it by resume=auto, which "
            "keeps those that are done, or choose another hydra.sweep.dir."
        )
    try:
        before = json.loads((store / _SWEPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a sweep of an earlier version
        return
    if not _continues(before, plan.swept):
        raise ConfigError(
            f"{plan.folder} holds a sweep over {_words(before)}, and this one is over "
            f"{_words(plan.swept)}: its jobs would be others. Only values at the end of the first "
            "key can be added; choose another hydra.sweep.dir for another sweep."
        )


def _continues(before: Mapping[str, Sequence[str]], now: Mapping[str, Sequence[str]]) -> bool:
    """Say whether the jobs of ``now`` begin with those of ``before``, the first key being slowest.

    With one key all is said by its values.
    """
    if list(before) != list(now):
        return False
    first = next(iter(now), None)
    return all(
        list(now[key])[: len(before[key])] == list(before[key])
        and (key == first or len(now[key]) == len(before[key]))
        for key in now
    )


def _words(swept: Mapping[str, Sequence[str]]) -> str:
    return " ".join(f"{key}={','.join(values)}" for key, values in swept.items()) or "nothing"


def _copy_all(sources: Sequence[Path], store: Path, plan: SweepPlan) -> None:
    """Copy the YAML files of all ``sources``; the folder appears when all of them are there."""
    begun = store.with_name(f".{store.name}.{os.getpid()}")
    replaced = store.is_dir()
    try:
        for number, source in enumerate(sources):
            copy = begun / str(number)
            copy.mkdir(parents=True)
            for file in _files(source, plan.folder):
                (copy / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / file, copy / file)
        (begun / _SWEPT).write_text(json.dumps(plan.swept, indent=2) + "\n", encoding="utf-8")
        if replaced:
            shutil.rmtree(store, ignore_errors=True)
        begun.rename(store)
        _note_digest(store)
    except OSError as error:
        if plan.compares and store.is_dir() and not any(_changed(sources, store, plan.folder)):
            return  # another one of the same comparison was quicker
        raise ConfigError(
            f"The configuration of the sweep cannot be kept in {store}: {error.strerror}. Choose "
            "another hydra.sweep.dir."
        ) from error
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    """Return a hash of the names and contents of files."""
    digest = hashlib.sha256()
    for name, file in sorted(files, key=lambda named: Path(named[0])):
        digest.update(f"{name}\0".encode(errors="surrogateescape"))
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _digest_in(store: Path) -> str:
    files = (path for path in store.rglob("*") if path.is_file())
    return _digest((str(file.relative_to(store)), file) for file in files)


def _digest_of(sources: Sequence[Path], sweep: Path) -> str:
    return _digest(
        (f"{number}/{file}", source / file)
        for number, source in enumerate(sources)
        for file in _files(source, sweep)
    )


def _note_digest(store: Path) -> None:
    with suppress(OSError):  # no cache of one's own: changed files are then refused
        write_json(user_cache() / _OWN, [*noted(_OWN)[-999:], _digest_in(store)])


def _changed(sources: Sequence[Path], store: Path, sweep: Path) -> Iterator[str]:
    """Yield the files that are not as their copies."""
    for number, source in enumerate(sources):
        copy = store / str(number)
        for file in sorted({*_files(source, sweep), *_files(copy, sweep / "0")}):
            one, other = source / file, copy / file
            if not (one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()):
                yield str(one)


def _files(root: Path, sweep: Path) -> Iterator[Path]:
    """Yield the YAML files below ``root``, relative to it, but for hidden ones and the sweep's."""
    seen: set[str] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen or real == os.path.realpath(sweep):
            below.clear()
            continue
        seen.add(real)
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (
            Path(folder, name).relative_to(root) for name in names if name.endswith(".yaml")
        )
