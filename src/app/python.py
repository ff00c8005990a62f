"""Restoring from Python, without a configuration: `from src import load, restore`."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from src.app.config.validate import agrees, describe
from src.app.inference import pick_device
from src.app.restoration import Restoration, checked_sigma, restoration
from src.core.errors import ConfigError, did_you_mean
from src.core.paths import with_home
from src.data.depth import WHITE, transparent_grey
from src.data.photograph import Photograph, read_photograph
from src.degradations.mosaic import Mosaic
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer, takes_noise_level
from src.ops.bayer import Phase
from src.weights.checkpoint import Checkpoint, network_of, open_checkpoint
from src.weights.zoo import ENLARGING, ZOO, with_zoo, zoo_names

Picture = TypeVar("Picture", Path, str, Image.Image, np.ndarray, Tensor)

_LARGEST = 8
"""Floats beyond are levels of some other scale; strong noise goes to 2 or 3."""
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
_PROFILE = "icc_profile"
_DESCRIBING = ("exif", _PROFILE, "xmp", "dpi", "comment")


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
        task: ``denoise``, ``dejpeg``, ``demosaic`` or ``upscale``: with the network that comes
            along.
        checkpoint: Another network, as :func:`load` takes it or has returned it; a module is put
            into evaluation mode.
        scale: Of ``upscale``: 2 (unless said), 3 or 4.
        sigma: Noise level on the 8-bit scale, for networks that are told it.
        phase: Of a Bayer mosaic, e.g. ``rggb``; of a module, which does not say what it is for,
            it also says that it demosaics.
        device: ``auto`` is a GPU where there is one.
        inference: ``tile``, ``overlap``, ``ensemble``: fields of
            :class:`src.inference.policy.InferencePolicy`.

    Returns:
        What came, restored: of a file an image of Pillow, else the same kind, type and layout; of
        a mosaic (H, W) it is (H, W, 3).
        An image of Pillow has 8 bits a channel, or 16 of one grey channel, and in its ``info`` the
        EXIF, colour profile and resolution of what came; a file's orientation is applied.

    Raises:
        ConfigError: If it is not clear what to do, the network is for something else, or an array
            or tensor is no image.
        CheckpointError: If there is no such network.
        ImageFileError: If a file is no image.
    """
    policy, where = _policy(inference), pick_device(device)
    if (task is None) == (checkpoint is None):
        raise ConfigError('Give a task, e.g. "denoise", or checkpoint=…, and not both.')
    if isinstance(checkpoint, nn.Module):
        way = _way(checkpoint, policy, where, scale=scale, sigma=sigma, phase=phase)
    else:
        named = _named(task, checkpoint, scale)
        restorer = Restorer(network_of(named).to(where), policy)
        way = restoration(restorer, named, where, scale=scale, sigma=sigma, phase=phase)
    if isinstance(image, Tensor):
        batch = image if image.ndim == 4 else image[None]
        if not len(batch):
            raise _no_image(tuple(image.shape))
        restored = torch.stack([_restored(one, way) for one in batch]).to(image)
        return restored if image.ndim == 4 else restored[0]
    if isinstance(image, np.ndarray):
        return _restored_array(image, way)
    if isinstance(image, Image.Image):
        return _restored_pillow(image, way)
    return _as_pillow(_through(way, read_photograph(with_home(image)), str(image)))


def _policy(inference: dict[str, Any]) -> InferencePolicy:
    known = [field.name for field in fields(InferencePolicy)]
    for word in inference.keys() - set(known):
        raise ConfigError(f"{word}=: restore has no such word. {did_you_mean(word, known)}")
    kinds = get_type_hints(InferencePolicy)
    for word, value in inference.items():
        if not agrees(value, kinds[word]) or (value is True and kinds[word] is not bool):
            raise ConfigError(f"{word}={value!r} is not possible; it is {describe(kinds[word])}.")
    return InferencePolicy(**inference)


def _named(task: str | None, checkpoint: str | Path | None, scale: int | None) -> Checkpoint:
    """Return the checkpoint that is asked for."""
    if task is None:
        return open_checkpoint(str(checkpoint))
    scales = [name.rpartition("_x")[2] for name in zoo_names() if ENLARGING in name]
    tasks = {name.removeprefix(ZOO) for name in zoo_names() if ENLARGING not in name}
    enlarging = task in {"upscale", ENLARGING}
    if task not in tasks and not enlarging:
        raise ConfigError(f"task={task}: {did_you_mean(task, {*tasks, 'upscale'})}")
    if scale is not None and not enlarging:
        raise ConfigError(f"scale={scale}: is of upscale, and {task} keeps the size; leave it out.")
    if scale is not None and str(scale) not in scales:
        raise ConfigError(f"scale={scale}: {task} has {', '.join(scales)}.")
    words = [f"task={task}"] + ([] if scale is None else [f"scale={scale}"])
    return open_checkpoint(with_zoo(words)[0].partition("=")[2])


def _way(
    net: nn.Module,
    policy: InferencePolicy,
    device: torch.device,
    *,
    scale: int | None,
    sigma: float | None,
    phase: Phase | None,
) -> Restoration:
    """Return how images go through a network of which nothing else is known."""
    restorer = Restorer(net.to(device).eval(), policy)
    own = restorer.net.scale
    if scale is not None and (scale < 1 or scale % own):
        raise ConfigError(f"scale={scale}: the network enlarges by {own}.")
    enlarge = (scale or own) // own
    if sigma is not None and not takes_noise_level(restorer.net):
        raise ConfigError(f"sigma={sigma}: the network is not told the noise level; leave it out.")
    level = None if sigma is None else checked_sigma(sigma)
    mosaic = None if phase is None else Mosaic(phase)
    name = type(net).__name__.lower()
    return Restoration(restorer, enlarge, level, mosaic, name, None, 1.0, device)


def _through(way: Restoration, photograph: Photograph, name: str) -> Photograph:
    sigma = way.level(photograph)
    if sigma is None and takes_noise_level(way.restorer.net):
        raise ConfigError(f"{name} is too small to tell its noise level; add sigma=<level>.")
    return way.restored(photograph, way.network_input(photograph, name, sigma))


def _no_image(shape: tuple[int, ...]) -> ConfigError:
    return ConfigError(
        f"{shape} is no image: a tensor is (C, H, W) or (B, C, H, W), an array (H, W) or "
        "(H, W, C), with C 1 or 3. Alpha is kept of a file or an image of Pillow."
    )


def _restored(planes: Tensor, way: Restoration) -> Tensor:
    """Return (C, H, W) in [0, 1] restored and clamped."""
    if planes.ndim != 3 or planes.shape[0] not in {1, 3} or not planes.numel():
        raise _no_image(tuple(planes.shape))
    if not planes.is_floating_point():
        raise ConfigError(f"{planes.dtype}: a tensor is of floats in [0, 1]; divide by white.")
    if planes.is_meta or planes.layout != torch.strided:
        kind = "on the device meta" if planes.is_meta else str(planes.layout)
        raise ConfigError(f"{kind}: a tensor holds its values, and densely; use to_dense().")
    planes = planes.detach().cpu().float()
    if not bool(planes.isfinite().all()) or float(planes.abs().max()) > _LARGEST:
        raise ConfigError(
            f"values from {float(planes.min()):g} to {float(planes.max()):g}: floats are in "
            "[0, 1], and none is NaN; divide by the value of white, e.g. 255."
        )
    photograph = Photograph(planes, None, 8, len(planes), None, {}, ())
    return _through(way, photograph, "the image").image.clamp(0, 1)


def _restored_array(image: np.ndarray, way: Restoration) -> np.ndarray:
    """Return an array restored: (H, W) stays so unless colours were made of a mosaic."""
    dtype = image.dtype.newbyteorder("=")
    if dtype not in WHITE and dtype.kind != "f":
        raise ConfigError(f"{image.dtype}: an array is of uint8, uint16, or floats in [0, 1].")
    if image.ndim not in {2, 3}:
        raise _no_image(image.shape)
    white = WHITE.get(dtype, 1)
    levels = image[..., None] if image.ndim == 2 else image
    planes = torch.from_numpy(np.moveaxis(levels, -1, 0).astype(np.float32) / white)
    restored = _restored(planes, way).permute(1, 2, 0).numpy().astype(np.float64) * white
    if white > 1:
        restored = restored.round()
    flat = image.ndim == 2 and restored.shape[2] == 1
    return (restored[..., 0] if flat else restored).astype(image.dtype)


def _restored_pillow(image: Image.Image, way: Restoration) -> Image.Image:
    see_through = None
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.uint16)
        see_through = transparent_grey(image, levels)
    elif image.mode in _MODES:
        levels = np.asarray(image.convert("L" if image.mode in {"1", "L", "LA"} else "RGB"))
    else:
        raise ConfigError(f'mode {image.mode}: convert it to "L", "RGB", "RGBA" or "I;16".')
    pixels = _restored_array(levels, way)
    if pixels.dtype == np.uint16 and (see_through is not None or pixels.ndim == 3):
        pixels = (pixels / 257).round().astype(np.uint8)  # Pillow has no such mode of 16 bits
    restored = Image.fromarray(pixels)
    if see_through is not None:
        restored.putalpha(_as_large(Image.fromarray(~see_through).convert("L"), restored))
    elif image.has_transparency_data and not image.mode.startswith("I;16"):
        restored.putalpha(_as_large(image.convert("RGBA").getchannel("A"), restored))
    other_inks = image.mode in {"CMYK", "LAB"}  # which a colour profile describes
    info = {key: image.info[key] for key in image.info if not (other_inks and key == _PROFILE)}
    return _with_info(restored, info)


def _as_large(alpha: Image.Image, restored: Image.Image) -> Image.Image:
    return alpha.resize(restored.size, Image.Resampling.BICUBIC)


def _as_pillow(photograph: Photograph) -> Image.Image:
    parts = [photograph.image] + ([] if photograph.alpha is None else [photograph.alpha])
    deep = photograph.depth == 16 and len(photograph.image) == len(torch.cat(parts)) == 1
    kind = np.uint16 if deep else np.uint8
    white = WHITE[np.dtype(kind)]
    levels = (torch.cat(parts).double().clamp(0, 1) * white).round().permute(1, 2, 0).numpy()
    pixels = levels.squeeze(2) if levels.shape[2] == 1 else levels
    return _with_info(Image.fromarray(pixels.astype(kind)), photograph.extras)


def _with_info(image: Image.Image, info: Mapping[Any, Any]) -> Image.Image:
    image.info.update({key: info[key] for key in _DESCRIBING if key in info})
    return image
