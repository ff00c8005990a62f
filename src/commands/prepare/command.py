"""Prepare: image sets in, checked folders with a manifest out."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from src.commands.prepare import manifest
from src.commands.prepare.archives import ArchiveError, Limits
from src.commands.prepare.build import Built, build
from src.commands.prepare.image_set import ImageSet, all_sets, chosen_sets
from src.commands.prepare.manifest import Source
from src.commands.prepare.origins import Downloader, Origins
from src.commands.prepare.pixels import known_tests, unchecked
from src.commands.prepare.staging import NoRoomError, clear_leftovers
from src.core.console import make_console
from src.core.errors import ConfigError, DataError, ExemplarError, ImageFileError
from src.core.locks import alone_in
from src.core.paths import from_root
from src.data.prepared import MANIFEST

DOWNLOADS = ".downloads"
"""Folder of archives beside the sets."""


def prepare(cfg: DictConfig) -> int:
    """Prepare each set of ``cfg.dataset`` that is not there yet; return how many images are there.

    One set that fails does not stop the others.

    Raises:
        ConfigError: If no set is named, or a setting is out of its range.
        DataError: If a set cannot be had, is not what it should be, or does not fit on the disk.
    """
    sets = chosen_sets(cfg)
    console = make_console(stderr=True)
    data_dir = from_root(str(cfg.paths.data_dir))
    failed: dict[str, ExemplarError] = {}
    count, done = 0, False
    with _alone(data_dir):
        work = _Preparation(cfg, data_dir, console)
        try:
            for image_set in sets:
                try:
                    count += work.run(image_set)
                except (DataError, ImageFileError) as error:
                    console.print(f"{image_set.name}: failed", style="red")
                    failed[image_set.name] = error
            done = not failed
        finally:  # Ctrl-C included
            work.tidy(keep=cfg.keep_downloads or not done)
    if len(sets) == 1 and failed:
        raise next(iter(failed.values()))
    if failed:
        raise DataError("\n".join(f"{name}: {error}" for name, error in failed.items()))
    return count


def _alone(data_dir: Path) -> AbstractContextManager[None]:
    if data_dir.is_dir() and not os.access(data_dir, os.W_OK):
        return nullcontext()  # sets can be verified there, and nobody can prepare one
    return alone_in(
        data_dir,
        busy="Another process prepares image sets in {folder}; wait for it to end ({holder}).",
        unusable="{folder} cannot be used: {reason}. Choose another: paths.data_dir=<folder>.",
    )


class _Preparation:
    def __init__(self, cfg: DictConfig, data_dir: Path, console: Console) -> None:
        self.cfg, self.data_dir, self.console = cfg, data_dir, console
        try:
            self.downloader = Downloader(
                data_dir / DOWNLOADS,
                Limits(**{str(key): value for key, value in cfg.limits.items()}),
                timeout=cfg.timeout,
                attempts=cfg.attempts,
                wait=cfg.wait,
                console=console,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self.origins = Origins(self.downloader, cfg.source, cfg.mirror)

    def run(self, image_set: ImageSet) -> int:
        """Prepare one set, or see that it is there; return how many images it has."""
        target = self.data_dir / image_set.name
        clear_leftovers(target)
        if target.exists():
            if not (target / MANIFEST).is_file():
                raise DataError(
                    f"{target} exists and was not made by this command (it has no {MANIFEST}). "
                    f"Move it away, or take it over: paths.data_dir=<another> source={target}"
                )
            if not self.cfg.overwrite:
                return self._there_already(image_set, target)
        opened = self.origins.open(image_set)
        tests = known_tests(all_sets() if image_set.role == "train" else [], self.data_dir)
        try:
            built = build(
                image_set,
                [tree for tree, _ in opened],
                target,
                sources=[source for _, source in opened],
                tests=tests,
                partial=self.cfg.partial,
                console=self.console,
            )
        except NoRoomError:  # the archives may well be right
            raise
        except (DataError, ImageFileError) as error:
            if isinstance(error, ArchiveError) or not all(source.checked for _, source in opened):
                self.downloader.clear()  # else the wrong one would be used again next time
            raise
        self._report(image_set, built, [source for _, source in opened], target)
        return len(built.images)

    def tidy(self, *, keep: bool) -> None:
        """Delete the archives that were fetched, or say that they and unfinished ones are kept."""
        if not keep:
            self.downloader.clear()
        folder = self.downloader.folder
        kept = [path for path in folder.glob("*") if path.suffix != ".json"]
        if kept:
            size = sum(path.stat().st_size for path in kept)
            self.console.print(
                f"Kept in {folder}: {len(kept)} downloads, {size / 1e6:,.1f} MB; the same command "
                "goes on from there.",
                markup=False,
            )
        elif folder.is_dir():
            folder.rmdir()

    def _there_already(self, image_set: ImageSet, target: Path) -> int:
        found = list(manifest.faults(target, rehash=self.cfg.verify, console=self.console))
        if found:
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            raise DataError(
                f"{target} is not as it was prepared: {'; '.join(found[:5])}{more}.\n"
                "  Prepare it again: overwrite=true."
            )
        count = len(manifest.read(target))
        how = "every file hashed" if self.cfg.verify else "names and sizes; verify=true reads all"
        self.console.print(
            f"{image_set.name}: already there, {count} images verified ({how})", markup=False
        )
        return count

    def _report(
        self, image_set: ImageSet, built: Built, sources: Sequence[Source], target: Path
    ) -> None:
        lines = [f"{image_set.name}: {len(built.images)} images in {target}"]
        if image_set.pixels:
            known = sum(manifest.is_known(image, image_set) for image in built.images)
            lines.append(f"  {known} of them equal the reference images, pixel for pixel")
            if known < len(built.images):
                lines.append("  the others were cut or converted: scores will not be the published")
        elif image_set.role == "test":
            lines.append("  its pixels are not known here: checked by number and size alone")
        if len(built.images) < image_set.count:
            lines.append(f"  incomplete: the whole set has {image_set.count}")
        trusted = [one.place for one in sources if one.sha256 is not None and not one.checked]
        lines += [f"  taken on trust, no checksum is published: {place}" for place in trusted]
        lines += [f"  left out: {name} {why}" for name, why in built.left_out.items()]
        if image_set.role == "test":
            lines += [
                f"  {name} was prepared before and may hold some of them; to leave these out: "
                f"python -m src.prepare dataset={name} overwrite=true"
                for name in unchecked(built.images, all_sets(), self.data_dir)
            ]
        lines.append(f"  terms of use: {image_set.terms}")
        for line in lines:
            self.console.print(line, markup=False)
