"""Restoring from Python, without a configuration: `from src import load, restore`."""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from src.app.inference import pick_device
from src.app.restoration import Restoration, restoration
from src.core.errors import ConfigError
from src.data.depth import WHITE
from src.data.photograph import Photograph, read_photograph
from src.inference.restorer import InferencePolicy, Restorer, takes_noise_level
from src.ops.bayer import Phase
from src.weights.checkpoint import Checkpoint, network_of, open_checkpoint
from src.weights.zoo import with_zoo

Picture = TypeVar("Picture", Path, str, Image.Image, np.ndarray, Tensor)


def load(name: str | Path, *, device: str = "cpu") -> nn.Module:
    """Return a network with its weights, in evaluation mode: a plain ``torch.nn.Module``.

    It maps (B, ``in_channels``, H, W) in [0, 1] to (B, ``out_channels``, s·H, s·W), not clamped,
    where H and W are multiples of its ``multiple_of``; :func:`restore` takes any size.

    Args:
        name: ``zoo/<name>``, ``hf://owner/name``, a run folder, a .ckpt or a .safetensors file.
        device: Such as ``cpu``, ``cuda`` or ``auto``.

    Raises:
        CheckpointError: If there is none, or it cannot be read.
        UntrustedError: If a file asks for more than listed components.
    """
    return network_of(open_checkpoint(name)).to(pick_device(device))


def restore(
    image: Picture,
    task: str | None = None,
    *,
    checkpoint: str | Path | nn.Module | None = None,
    scale: int | None = None,
    sigma: float | None = None,
    phase: Phase | None = None,
    device: str = "auto",
    **inference: Any,  # noqa: ANN401
) -> Picture | Image.Image:
    """Return an image restored.

    Args:
        image: A file; an image of Pillow; an array (H, W) or (H, W, C) of uint8, uint16, or floats
            in [0, 1]; or a tensor (C, H, W) or (B, C, H, W) in [0, 1]. C is 1 or 3.
        task: ``denoise``, ``dejpeg``, ``demosaic`` or ``super_resolution``: with the network that
            comes along.
        checkpoint: Another network, as :func:`load` takes it or has returned it.
        scale: Of super-resolution: 2, 3 or 4.
        sigma: Noise level on the 8-bit scale, for networks that are told it.
        phase: Of a Bayer mosaic, e.g. ``rggb``.
        device: ``auto`` is a GPU where there is one.
        inference: ``tile``, ``overlap``, ``ensemble``: fields of
            :class:`src.inference.restorer.InferencePolicy`.

    Returns:
        What came, restored: of a file an image of Pillow, else the same kind, type and layout.

    Raises:
        ConfigError: If it is not clear what to do, or the network is for something else.
        CheckpointError: If there is no such network.
        ImageFileError: If a file is no image.
    """
    policy, where = InferencePolicy(**inference), pick_device(device)
    if isinstance(checkpoint, nn.Module):
        way = _way(checkpoint, policy, where, scale, sigma)
    else:
        named = _named(task, checkpoint, scale)
        restorer = Restorer(network_of(named).to(where), policy)
        enlarged = None if checkpoint is None else scale  # else the network's name has it
        way = restoration(restorer, named, where, scale=enlarged, sigma=sigma, phase=phase)
    if isinstance(image, Tensor):
        batch = image if image.ndim == 4 else image[None]
        restored = torch.stack([_restored(one, way) for one in batch]).to(image)
        return restored if image.ndim == 4 else restored[0]
    if isinstance(image, np.ndarray):
        return _restored_array(image, way)
    if isinstance(image, Image.Image):
        return _restored_pillow(image, way)
    return _as_pillow(_through(way, read_photograph(Path(image)), str(image)))


def _named(task: str | None, checkpoint: str | Path | None, scale: int | None) -> Checkpoint:
    """Return the checkpoint that is asked for.

    Raises:
        ConfigError: If neither task nor checkpoint is given, or both are.
    """
    if (task is None) == (checkpoint is None):
        raise ConfigError('Give a task, e.g. "denoise", or checkpoint=…, and not both.')
    if task is None:
        return open_checkpoint(str(checkpoint))
    words = [f"task={task}"] + ([] if scale is None else [f"scale={scale}"])
    return open_checkpoint(with_zoo(words)[0].partition("=")[2])


def _way(
    net: nn.Module,
    policy: InferencePolicy,
    device: torch.device,
    scale: int | None,
    sigma: float | None,
) -> Restoration:
    """Return how images go through a network of which nothing else is known."""
    restorer = Restorer(net.to(device).eval(), policy)
    if scale is not None and scale % restorer.net.scale:
        raise ConfigError(f"scale={scale}: the network enlarges by {restorer.net.scale}.")
    enlarge = (scale or restorer.net.scale) // restorer.net.scale
    return Restoration(
        restorer, enlarge, sigma, None, type(net).__name__.lower(), None, 1.0, device
    )


def _through(way: Restoration, photograph: Photograph, name: str) -> Photograph:
    sigma = way.level(photograph)
    if sigma is None and takes_noise_level(way.restorer.net):
        raise ConfigError(f"{name} is too small to tell its noise level; add sigma=<level>.")
    return way.restored(photograph, way.network_input(photograph, name, sigma))


def _restored(planes: Tensor, way: Restoration) -> Tensor:
    """Return (C, H, W) in [0, 1] restored and clamped."""
    photograph = Photograph(planes.detach().cpu().float(), None, 8, len(planes), None, {}, ())
    return _through(way, photograph, "the image").image.clamp(0, 1)


def _restored_array(image: np.ndarray, way: Restoration) -> np.ndarray:
    white = WHITE.get(image.dtype, 1)
    planes = torch.from_numpy(np.atleast_3d(image).transpose(2, 0, 1).astype(np.float32) / white)
    restored = _restored(planes, way).permute(1, 2, 0).numpy().astype(np.float64) * white
    if white > 1:
        restored = restored.round()
    return restored.reshape(*restored.shape[:2], *image.shape[2:]).astype(image.dtype)


def _restored_pillow(image: Image.Image, way: Restoration) -> Image.Image:
    grey = image.mode in {"1", "L", "LA"}
    levels = np.asarray(image.convert("L" if grey else "RGB"))
    restored = Image.fromarray(_restored_array(levels, way))
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        restored.putalpha(alpha.resize(restored.size, Image.Resampling.BICUBIC))
    return restored


def _as_pillow(photograph: Photograph) -> Image.Image:
    parts = [photograph.image] + ([] if photograph.alpha is None else [photograph.alpha])
    levels = (
        (torch.cat(parts).double().clamp(0, 1) * 255)
        .round()
        .to(torch.uint8)
        .permute(1, 2, 0)
        .numpy()
    )
    return Image.fromarray(levels.squeeze(2) if levels.shape[2] == 1 else levels)
