"""Predict: photographs in, restored photographs out."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from torch import Tensor

from src.app.inference import give_back_large_blocks, merge_inference, pick_device, with_attention
from src.app.restoration import Restoration, restoration
from src.commands.predict.batch import COMPARISON, OVERWRITE, Batch, plan
from src.commands.predict.request import Request, read_request, streams
from src.core.console import REMEMBERED_S, make_console
from src.core.errors import ConfigError, DataError, ExemplarError, ImageFileError, did_you_mean
from src.core.files import fitting_name
from src.core.paths import shown
from src.data.image_io import to_image, write_png
from src.data.photograph import Photograph, read_photograph
from src.data.photograph_writing import KINDS, LOSSY, UNWRITABLE, losses, write_photograph
from src.inference.policy import InferencePolicy
from src.inference.precision import Precision
from src.inference.restorer import Restorer, takes_noise_level
from src.weights.checkpoint import Checkpoint, network_of, open_checkpoint
from src.weights.conversion import with_published_weights


def predict(cfg: DictConfig) -> int:
    """Restore every image of ``cfg.input`` into ``cfg.output``; return how many.

    A result has format, depth, greyness, transparency, profile, resolution and EXIF of its source,
    and what cannot be kept is said. Results that are there already stay, unless ``cfg.existing``
    says otherwise. An image that cannot be used does not keep the others from being done.

    Raises:
        ConfigError: If a key has a value that is not possible.
        DataError: If there is no image, or, when all others are done, naming those that could not
            be used; with ``on_error=skip`` only if nothing could.
    """
    with streams(read_request(cfg)) as request:
        return _predict(with_published_weights(cfg), request)


def _predict(cfg: DictConfig, request: Request) -> int:
    kind = _asked_kind(cfg.format, cfg.quality)
    checkpoint = with_attention(open_checkpoint(cfg.checkpoint), cfg.attention)
    OmegaConf.resolve(checkpoint.config)
    existing = OVERWRITE if cfg.overwrite else cfg.existing
    batch = plan(request.inputs, request.output, existing, kind, ending=request.ending)
    console = make_console(stderr=True)
    _say_plan(batch, console)
    if not batch.jobs:
        return _conclude(batch, list(batch.faults), cfg, console)
    give_back_large_blocks()

    way = _restoration(cfg, checkpoint, console)
    failed = _restore_all(way, batch, cfg, console)
    done = _conclude(batch, [*batch.faults, *failed], cfg, console)
    console.print(f"{done} restored with {shown(checkpoint.path)} {_where(request)}")
    return done


def _where(request: Request) -> str:
    if request.to_stdout:
        return "to standard output"
    return "beside the input" if request.output is None else f"into {shown(request.output)}"


def _asked_kind(name: str | None, quality: object) -> str | None:
    """Return the format that was asked for, or None."""
    kind = {"jpg": "jpeg", "tif": "tiff"}.get(str(name).lower(), str(name).lower())
    if name is not None and kind not in KINDS:
        raise ConfigError(f"format={name}: {did_you_mean(kind, KINDS)}")
    if quality is None:
        return None if name is None else kind
    if not isinstance(quality, int) or not 1 <= quality <= 100:
        raise ConfigError(f"quality={quality} is not possible; it is 1 to 100, e.g. quality=95.")
    if name is not None and kind not in LOSSY:
        raise ConfigError(f"quality={quality}: {kind} loses nothing; it is for jpeg and webp.")
    return None if name is None else kind


def _restoration(cfg: DictConfig, checkpoint: Checkpoint, out: Console) -> Restoration:
    """Build the network, and say what is particular about it."""
    net = network_of(checkpoint)
    policy = InferencePolicy(**merge_inference(checkpoint, cfg.inference))
    device = pick_device(cfg.device)
    restorer = Restorer(net.to(device), policy, Precision(cfg.precision))
    told = {key: cfg[key] for key in ("scale", "sigma", "phase", "strength")}
    way = restoration(restorer, checkpoint, device, **told)
    if way.enlarge > 1:
        first = f"×{way.enlarge} bicubically first"
        out.print(f"Enlarged   {first}: {type(net).__name__} keeps the size")
    if way.sigma is not None:
        out.print(f"Noise      sigma={way.sigma:g} on the 8-bit scale")
    return way


def _say_plan(batch: Batch, out: Console) -> None:
    if batch.kept:
        out.print(
            f"{len(batch.kept)} of {len(batch.kept) + len(batch.jobs) + len(batch.faults)} results "
            "are there already and stay; existing=overwrite makes them again"
        )
    if batch.faults:
        out.print(
            f"Cannot be used: {len(batch.faults)} of the images (named at the end); the others are "
            "done",
            style="yellow",
        )


def _conclude(batch: Batch, failed: Sequence[ImageFileError], cfg: DictConfig, out: Console) -> int:
    """Return how many were restored, or name those that could not be."""
    done = len(batch.jobs) + len(batch.faults) - len(failed)
    nothing = not done and not batch.kept
    if failed and (nothing or cfg.on_error == "raise"):
        named = "".join(f"\n  {problem}" for problem in failed)
        raise DataError(
            f"{len(failed)} of {done + len(failed)} images could not be restored, {done} were:"
            f"{named}\n  Mend or remove them; the same command then does what is left."
        )
    for problem in failed:
        out.print(f"skipped {problem}", style="yellow")
    return done


def _restore_all(
    way: Restoration, batch: Batch, cfg: DictConfig, out: Console
) -> list[ImageFileError]:
    """Restore all jobs, saying how whenever that changes; return what could not be done.

    What of the photographs is not kept is said at the end, one line a kind of loss.
    """
    failed: list[ImageFileError] = []
    remarks: dict[str, list[str]] = {}
    announced = ""
    for source, target in _shown(batch.jobs, way.restorer, out):
        kind, reason = batch.kinds[source]
        try:
            photograph = read_photograph(source)
            degraded = _degraded(way, source, photograph, out)
            words = way.restorer.announce(degraded)
            if words != announced:
                out.print(f"Inference  {words}")
                announced = words
            restored = way.restored(photograph, degraded)
            _write(source, target, restored, kind, cfg.quality)
            if cfg.compare:
                beside = target.with_name(fitting_name(f"{target.name}{COMPARISON}"))
                write_png(beside, to_image(way.compared(photograph, restored)))
        except ImageFileError as error:
            failed.append(error)
            continue
        for remark in (reason, way.remark(photograph), *losses(photograph, kind)):
            if remark is not None:
                remarks.setdefault(remark, []).append(shown(source.name))
    for remark, names in remarks.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        out.print(f"Note       {remark} ({names[0]}{more})")
    return failed


def _shown(
    jobs: Mapping[Path, Path], restorer: Restorer, out: Console
) -> Iterator[tuple[Path, Path]]:
    """Yield the jobs below a bar that moves inside each image, with its speed and the time left."""
    columns = (
        TextColumn("Restoring"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=out, speed_estimate_period=REMEMBERED_S) as progress:
        bar = progress.add_task("", total=len(jobs), speed="")
        for done, job in enumerate(jobs.items()):
            restorer.watcher = _mover(progress, bar, restorer, done)
            yield job
            progress.update(bar, completed=done + 1)


def _mover(
    progress: Progress, bar: TaskID, restorer: Restorer, done: int
) -> Callable[[float], None]:
    begun = time.monotonic()

    def move(part: float) -> None:
        speed = part * restorer.pixels / 1e6 / max(time.monotonic() - begun, 1e-9)
        progress.update(bar, completed=done + part, speed=f"{speed:.3g} megapixels/s")

    return move


def _degraded(way: Restoration, source: Path, photograph: Photograph, out: Console) -> Tensor:
    """Return what the network sees of a photograph, and say what level was read from it."""
    sigma = way.level(photograph)
    if sigma is None and takes_noise_level(way.restorer.net):
        raise ImageFileError(source, "is too small to tell its noise level; add sigma=<level>.")
    words = way.level_in_words(photograph, sigma)
    if words is not None:
        out.print(f"Level      {words} ({shown(source.name)})")
    return way.network_input(photograph, shown(source), sigma)


def _write(
    source: Path, target: Path, restored: Photograph, kind: str, quality: int | None
) -> None:
    """Write a result."""
    try:
        write_photograph(target, restored, kind, quality)
    except UNWRITABLE as error:
        reason = f"cannot be written as {kind.upper()} ({error}); choose another with format=png."
        raise ImageFileError(source, reason) from error
    except OSError as error:
        raise ExemplarError(
            f"{shown(target)} cannot be written: {error.strerror or error}. "
            "Choose another output folder."
        ) from error
