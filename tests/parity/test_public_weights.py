"""Public weights in our comparison networks: every name and shape, and the published scores."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from src.core.paths import ROOT
from src.core.types import RestorationNet
from src.metrics.psnr import psnr
from src.models.backbones.dncnn import DnCNN
from src.models.backbones.ffdnet import FFDNet
from src.models.backbones.imdn import IMDN
from src.models.backbones.vdsr import VDSR
from src.ops.color import luma
from src.ops.resize import downscale, upscale

DATA = ROOT.parent / "shared" / "data"
pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(
        not DATA.is_dir(), reason="public weights and benchmarks lie beside the checkout, not in it"
    ),
]


def published(file: str) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = torch.load(
        DATA / "weights" / file, weights_only=True, map_location="cpu"
    )
    return weights


def _imdn_name(theirs: str) -> str:
    """Return our name of a tensor of the authors' IMDN; attention stands after block 3."""
    name = theirs.removeprefix("module.")
    name = re.sub(r"^IMDB(\d)\.", lambda m: f"trunk.{int(m[1]) - 1 + (int(m[1]) > 3)}.", name)
    name = re.sub(r"\.c([1-4])\.", r".conv\1.", name)
    parts = {".c5.": ".join.", ".cca.conv_du.": ".gate.layers."}
    whole = {"fea_conv": "head", "c.0.": "join.", "LR_conv": "smooth", "upsampler.0": "tail"}
    for old, new in parts.items():
        name = name.replace(old, new)
    for old, new in whole.items():
        name = new + name.removeprefix(old) if name.startswith(old) else name
    return name


def _vdsr_name(theirs: str) -> str:
    index = re.search(r"\d+", theirs)
    if index is None:
        return theirs.replace("input", "head.0").replace("output", "tail")
    return f"trunk.{int(index[0]) + (int(index[0]) >= 9)}.0.weight"


def _stack_name(blocks: int, theirs: str) -> str:
    """Return our name in a plain stack whose convolutions have even numbers, ReLUs the odd ones."""
    _, number, leaf = theirs.split(".")
    layer = int(number) // 2
    if layer == 0:
        return f"head.0.{leaf}"
    if layer > blocks:
        return f"tail.{leaf}"
    return f"trunk.{layer - 1 + (layer > blocks // 2)}.0.{leaf}"


WEIGHTS: dict[str, tuple[Callable[[], nn.Module], Callable[[str], str]]] = {
    "IMDN_x2.pth": (lambda: IMDN(scale=2), _imdn_name),
    "vdsr_twtygqyy_state_dict.pth": (lambda: VDSR(1, 1), _vdsr_name),
    "dncnn_25_gray.pth": (lambda: DnCNN(1, 1, batch_norm=False), partial(_stack_name, 15)),
    "dncnn_color_blind.pth": (
        lambda: DnCNN(blocks=18, batch_norm=False),
        partial(_stack_name, 18),
    ),
    "ffdnet_color.pth": (lambda: FFDNet(sigma=50.0), partial(_stack_name, 10)),
}


def renamed(weights: Mapping[str, Tensor], name: Callable[[str], str]) -> dict[str, Tensor]:
    return {name(theirs): tensor for theirs, tensor in weights.items()}


def loaded(file: str) -> RestorationNet:
    """Return the network with its public weights; a wrong name or shape raises."""
    build, name = WEIGHTS[file]
    net = build()
    net.load_state_dict(renamed(published(file), name), strict=True)
    assert isinstance(net, RestorationNet)
    return net.eval()


@pytest.mark.parametrize("file", WEIGHTS)
def test_public_weights_fit_name_by_name_and_shape_by_shape(file: str) -> None:
    build, name = WEIGHTS[file]
    ours = {key: tensor.shape for key, tensor in build().state_dict().items()}
    theirs = published(file)
    assert {key: tensor.shape for key, tensor in renamed(theirs, name).items()} == ours
    assert len(theirs) == len(ours)


def read(path: Path) -> Tensor:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def rounded(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round() / 255


def shaved(image: Tensor, scale: int) -> Tensor:
    return image[..., scale:-scale, scale:-scale]


@torch.no_grad()
def noisy_and_restored(file: str, target: Tensor, sigma: float) -> tuple[float, float]:
    """Return the PSNR of a noisy image and of what the network makes of it."""
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    noisy = target + noise * sigma / 255
    return psnr(noisy, target).item(), psnr(rounded(loaded(file)(noisy)), target).item()


@pytest.mark.parametrize("file", ["ffdnet_color.pth", "dncnn_color_blind.pth"])
def test_public_denoisers_remove_noise_of_level_50(file: str) -> None:
    target = read(DATA / "benchmarks/Set5/bird.png")[..., 80:208, 80:208]
    noisy, restored = noisy_and_restored(file, target, 50.0)
    assert restored > noisy + 14  # measured 16.4 and 15.6 dB


@pytest.mark.slow
@torch.no_grad()
def test_imdn_has_its_published_score_on_set5() -> None:
    net, scores = loaded("IMDN_x2.pth"), []
    for path in sorted((DATA / "benchmarks/Set5").glob("*.png")):
        target = read(path)
        target = target[..., : target.shape[2] // 2 * 2, : target.shape[3] // 2 * 2]
        restored = rounded(net(downscale(target, 2)))
        scores.append(psnr(shaved(luma(restored), 2), shaved(luma(target), 2)).item())
    assert np.mean(scores) == pytest.approx(38.00, abs=0.02)  # Tab. 5


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "paper"), [(2, 37.53), (3, 33.66), (4, 31.35)])
@torch.no_grad()
def test_vdsr_has_at_least_its_published_score_on_set5(scale: int, paper: float) -> None:
    net, scores = loaded("vdsr_twtygqyy_state_dict.pth"), []
    for path in sorted((DATA / "benchmarks/Set5").glob("*.png")):
        target = luma(read(path))
        height, width = (side // scale * scale for side in target.shape[2:])
        target = target[..., :height, :width]
        restored = rounded(net(upscale(downscale(target, scale, clip8=False), scale)))
        scores.append(psnr(shaved(restored, scale), shaved(target, scale)).item())
    assert paper - 0.01 < np.mean(scores) < paper + 0.2  # retrained weights: 0.1 dB above
