"""Predict: images in, restored images out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from src.app.build import build_net, plain
from src.app.inference import (
    demosaicing,
    give_back_large_blocks,
    merge_inference,
    pick_device,
    with_attention,
)
from src.commands.predict.batch import OVERWRITE, Batch, plan
from src.core.console import make_console
from src.core.errors import ConfigError, DataError, ExemplarError, ImageFileError
from src.core.paths import from_root, shown
from src.core.types import RestorationNet
from src.data.image_io import read_image, to_image, to_tensor, write_png
from src.degradations.mosaic import Mosaic
from src.inference.restorer import InferencePolicy, Restorer, takes_noise_level, with_noise_level
from src.ops.resize import upscale
from src.weights.checkpoint import Checkpoint, load_weights, open_checkpoint
from src.weights.conversion import with_published_weights

_HIGHEST = 255


def predict(cfg: DictConfig) -> int:
    """Restore every image of ``cfg.input`` into ``cfg.output`` as PNG; return how many.

    Results that are there already stay, unless ``cfg.existing`` says otherwise. An image that
    cannot be used does not keep the others from being done.

    Raises:
        DataError: If there is no image, or, when all others are done, naming those that could not
            be used; with ``on_error=skip`` only if nothing could.
    """
    cfg = with_published_weights(cfg)
    checkpoint = with_attention(open_checkpoint(cfg.checkpoint), cfg.attention)
    OmegaConf.resolve(checkpoint.config)
    device = pick_device(cfg.device)
    output = from_root(cfg.output)
    batch = plan(str(cfg.input), output, OVERWRITE if cfg.overwrite else cfg.existing)
    console = make_console(stderr=True)
    _say_plan(batch, console)
    if not batch.jobs:
        return _conclude(batch, list(batch.faults), cfg, console)
    give_back_large_blocks()

    net: nn.Module = build_net(checkpoint.config)
    load_weights(net, checkpoint)
    policy = InferencePolicy(**merge_inference(checkpoint, cfg.inference))
    restorer = Restorer(net.to(device).eval(), policy)
    io = plain(checkpoint.config.io)
    sigma = noise_level(restorer.net, checkpoint, cfg.sigma)
    mosaic = demosaicing(checkpoint, cfg.phase)
    enlarge = int(io["scale"]) // restorer.net.scale  # super-resolution by a network of scale 1
    if sigma is not None:
        console.print(f"Noise      sigma={sigma:g} on the 8-bit scale")
    failed = _restore_all(restorer, batch.jobs, (enlarge, sigma, mosaic), console)
    done = _conclude(batch, [*batch.faults, *failed], cfg, console)
    console.print(f"{done} restored with {shown(checkpoint.path)} into {shown(output)}")
    return done


def _say_plan(batch: Batch, out: Console) -> None:
    if batch.kept:
        out.print(
            f"{len(batch.kept)} of {len(batch.kept) + len(batch.jobs) + len(batch.faults)} results "
            "are there already and stay; existing=overwrite makes them again"
        )
    if batch.faults:
        out.print(
            f"{len(batch.faults)} images cannot be used (named at the end); the others are done",
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
    restorer: Restorer,
    jobs: Mapping[Path, Path],
    way: tuple[int, float | None, Mosaic | None],
    out: Console,
) -> list[ImageFileError]:
    """Restore all ``jobs``, saying how whenever that changes; return what could not be read."""
    failed: list[ImageFileError] = []
    said = ""
    for source, target in track(jobs.items(), "Restoring", console=out):
        try:
            degraded = _degraded(restorer, source, *way)
        except ImageFileError as error:
            failed.append(error)
            continue
        words = restorer.announce(degraded)
        if words != said:
            out.print(f"Inference  {words}")
            said = words
        _restore(restorer, degraded, target)
    return failed


def _degraded(
    restorer: Restorer, source: Path, enlarge: int, sigma: float | None, mosaic: Mosaic | None
) -> Tensor:
    """Return an image as the network takes it, on the network's device."""
    pixels = read_image(source, channels=image_channels(restorer.net))
    degraded = to_tensor(pixels)[None]
    if mosaic is not None:
        degraded = mosaic.received(degraded, shown(source))
    if enlarge > 1:
        degraded = upscale(degraded, enlarge)
    if sigma is not None:
        degraded = with_noise_level(degraded, sigma / 255)
    return degraded.to(next(restorer.module.parameters()).device)


@torch.no_grad()
def _restore(restorer: Restorer, degraded: Tensor, target: Path) -> None:
    restored = restorer(degraded)[0]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_png(target, to_image(restored))
    except OSError as error:
        raise ExemplarError(
            f"{shown(target)} cannot be written: {error.strerror or error}. "
            "Choose another output folder."
        ) from error


def noise_level(net: RestorationNet, checkpoint: Checkpoint, given: object) -> float | None:
    """Return σ on the 8-bit scale, or None for a network that is not told.

    Args:
        net: The network.
        checkpoint: Where it comes from: a training with one level needs no other.
        given: ``sigma=`` of the command line.

    Raises:
        ConfigError: If the level is needed and not known, given and not needed, or impossible.
    """
    name = type(net).__name__
    if not takes_noise_level(net):
        if given is not None:
            raise ConfigError(
                f"sigma={given}: {name} of {checkpoint.path} is not told the noise level; leave "
                "sigma=… out."
            )
        return None
    level = _trained_level(checkpoint) if given is None else given
    if level is None:
        raise ConfigError(
            f"{name} of {checkpoint.path} is told the noise level of the images: add "
            "sigma=<level>, the deviation of their noise on the 8-bit scale, e.g. sigma=25."
        )
    if not isinstance(level, int | float) or not 0 <= level <= _HIGHEST:
        raise ConfigError(
            f"sigma={level} is not possible; it is one number on the 8-bit scale, 0 to {_HIGHEST}, "
            "e.g. sigma=25."
        )
    return float(level)


def _trained_level(checkpoint: Checkpoint) -> float | None:
    """Return the one level of the training's noise, or None."""
    levels = {float(level) for level in checkpoint.config.get("degradation", {}).get("sigma", [])}
    return levels.pop() if len(levels) == 1 else None


def image_channels(net: RestorationNet) -> int:
    """Return how many channels of an image ``net`` takes, the noise level not counted."""
    return net.in_channels - int(takes_noise_level(net))
