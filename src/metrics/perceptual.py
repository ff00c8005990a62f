"""Perceptual distances of each image, by networks of torchvision: the extra ``perceptual``.

Nothing here is imported, and nothing is ever downloaded, unless the user asks for it.
"""

import importlib.util
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.core.errors import ConfigError

# torchvision's files of the networks on which the distances are computed
WEIGHTS = {"alexnet": "alexnet-owt-7be5be79.pth", "vgg16": "vgg16-397923af.pth"}


@torch.no_grad()
def lpips(
    restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Return each image's LPIPS, version 0.1 on AlexNet, for intensities in [0, 1]; 0 is equal.

    Zhang et al., 2018, arXiv:1801.03924. Grey images are repeated to three channels.

    Raises:
        ConfigError: If torchvision or its AlexNet is not there.
        ValueError: If an image is smaller than 32×32 pixels.
    """
    _check(target, "alexnet")
    distances: Tensor = _lpips(target.device)(2 * _colour(restored) - 1, 2 * _colour(target) - 1)
    return distances.reshape(-1).double()


@torch.no_grad()
def dists(
    restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Return each image's DISTS, for intensities in [0, 1]; 0 is equal.

    Ding et al., 2020, arXiv:2004.07728. Grey images are repeated to three channels.

    Raises:
        ConfigError: If torchvision or its VGG-16 is not there.
        ValueError: If an image is smaller than 32×32 pixels.
    """
    _check(target, "vgg16")
    distances: Tensor = _dists(target.device)(_colour(restored), _colour(target))
    return distances.reshape(-1).double()


def _colour(image: Tensor) -> Tensor:
    return image.float().expand(-1, 3, -1, -1)


def _check(image: Tensor, network: str) -> None:
    if min(image.shape[-2:]) < 32:
        raise ValueError(f"LPIPS and DISTS need at least 32×32 pixels, not {image.shape[-2:]}.")
    if importlib.util.find_spec("torchvision") is None:
        raise ConfigError(
            "metrics=perceptual needs torchvision, which is not installed: "
            "pip install 'exemplar[perceptual]' -c constraints.txt, or take metrics=distortion."
        )
    file = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS[network]
    if not file.is_file():
        raise ConfigError(
            f"metrics=perceptual needs the weights of {network}, {file}, and nothing is downloaded "
            'unasked. Fetch them once:  python -c "import torchvision; '
            f"torchvision.models.{network}(weights='DEFAULT')\"\n"
            "  or copy the file there; TORCH_HOME=<folder> names another place."
        )


@cache
def _lpips(device: torch.device) -> nn.Module:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    net: nn.Module = LearnedPerceptualImagePatchSimilarity(net_type="alex").net
    return net.to(device)


@cache
def _dists(device: torch.device) -> nn.Module:
    from torchmetrics.functional.image.dists import DISTSNetwork

    return DISTSNetwork().to(device).eval()
