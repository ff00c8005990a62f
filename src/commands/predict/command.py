"""Predict: images in, restored images out."""

import glob
import logging
from itertools import takewhile
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from src.app.attention_swap import with_attention
from src.app.build import build_net, plain
from src.app.inference import give_back_large_blocks, merge_inference, pick_device
from src.commands.predict.noise_level import image_channels, noise_level
from src.core.errors import DataError, ExemplarError, ImageFileError, did_you_mean
from src.core.paths import from_root
from src.data.datasets.folder import ImageFolder
from src.data.image_io import read_image, to_image, to_tensor, write_png
from src.inference.restorer import InferencePolicy, Restorer, with_noise_level
from src.ops.resize import upscale
from src.weights.checkpoint import load_weights, open_checkpoint
from src.weights.direct import with_published_weights

logger = logging.getLogger(__name__)


def predict(cfg: DictConfig) -> int:
    """Restore every image of ``cfg.input`` into ``cfg.output`` as PNG; return how many.

    Raises:
        DataError: If there is no image, a result exists already, or none could be restored.
    """
    cfg = with_published_weights(cfg)
    checkpoint = with_attention(open_checkpoint(cfg.checkpoint), cfg.attention)
    OmegaConf.resolve(checkpoint.config)
    device = pick_device(cfg.device)
    jobs = _jobs(str(cfg.input), from_root(cfg.output), overwrite=cfg.overwrite)
    give_back_large_blocks()

    net: nn.Module = build_net(checkpoint.config)
    load_weights(net, checkpoint)
    policy = InferencePolicy(**merge_inference(checkpoint, cfg.inference))
    restorer = Restorer(net.to(device).eval(), policy)
    io = plain(checkpoint.config.io)
    sigma = noise_level(restorer.net, checkpoint, cfg.sigma)
    enlarge = int(io["scale"]) // restorer.net.scale  # super-resolution by a network of scale 1

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if sigma is not None:
        console.print(f"Noise      sigma={sigma:g} on the 8-bit scale", markup=False)
    failed = _restore_all(restorer, jobs, cfg, (enlarge, sigma), console)
    done = len(jobs) - len(failed)
    for problem in failed:
        console.print(f"skipped {problem}", style="yellow", markup=False)
    console.print(f"{done} restored with {checkpoint.path} into {from_root(cfg.output)}")
    if not done:
        raise DataError(f"None of the {len(jobs)} images in {cfg.input} could be restored.")
    return done


def _restore_all(
    restorer: Restorer,
    jobs: dict[Path, Path],
    cfg: DictConfig,
    way: tuple[int, float | None],
    out: Console,
) -> list[ImageFileError]:
    """Restore all ``jobs``, saying how whenever that changes; return what could not be read."""
    failed: list[ImageFileError] = []
    said = ""
    for source, target in track(jobs.items(), "Restoring", console=out):
        try:
            degraded = _degraded(restorer, source, *way)
        except ImageFileError as error:
            if cfg.on_error == "raise":
                raise
            failed.append(error)
            continue
        words = restorer.announce(degraded)
        if words != said:
            out.print(f"Inference  {words}", markup=False)
            said = words
        _restore(restorer, degraded, target)
    return failed


def _jobs(pattern: str, output: Path, *, overwrite: bool) -> dict[Path, Path]:
    """Return source → target, refusing collisions before any work is done."""
    sources, base = _sources(pattern)
    if base.resolve() in output.resolve().parents:  # results of an earlier start are no input
        sources = [source for source in sources if output.resolve() not in source.resolve().parents]
    jobs: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for source in sources:
        target = output / source.relative_to(base).with_suffix(".png")
        if target in taken:
            raise DataError(
                f"{taken[target]} and {source} would both become {target}; rename one of them."
            )
        if target.resolve() == source.resolve():
            raise DataError(f"{target} would replace its own input; choose another output folder.")
        if target.exists() and not overwrite:
            raise DataError(f"{target} exists already; set overwrite=true or another output.")
        taken[target] = source
        jobs[source] = target
    return jobs


def _sources(pattern: str) -> tuple[list[Path], Path]:
    """Return the images of a file, a folder or a glob, and the folder that names start from."""
    path = Path(pattern).expanduser()
    path = path.absolute() if path.exists() else from_root(path)
    if path.is_file():
        return [path], path.parent
    if path.is_dir():
        return list(ImageFolder(path).files().values()), path
    # Path.glob takes no absolute pattern.
    names = sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))  # noqa: PTH207
    found = [Path(name) for name in names]
    files = [file for file in found if file.is_file()]
    if not files:
        near = [str(child) for child in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(str(path), near) if near else f"{path.parent} is not there either."
        raise DataError(f"input={pattern}: no such file or folder, and no file matches it. {hint}")
    return files, _fixed_part(Path(pattern).expanduser())


def _fixed_part(pattern: Path) -> Path:
    """Return the folder above the first wildcard of a glob."""
    folders = takewhile(lambda part: not glob.has_magic(part), pattern.parts[:-1])
    return Path(*folders)


def _degraded(restorer: Restorer, source: Path, enlarge: int, sigma: float | None) -> Tensor:
    """Return an image as the network takes it, on the network's device."""
    pixels = read_image(source, channels=image_channels(restorer.net))
    degraded = to_tensor(pixels)[None]
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
            f"{target} cannot be written: {error.strerror or error}. Choose another output folder."
        ) from error
