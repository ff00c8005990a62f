"""For `torch.hub.load(<this folder>, "denoise", source="local")`: the zoo as plain modules."""

from torch import nn

from src import load
from src.weights.zoo import zoo_file

dependencies = ["torch", "safetensors", "hydra", "omegaconf", "PIL"]


def denoise() -> nn.Module:
    """Return the colour denoiser, blind to the noise level: (B, 3, H, W) in [0, 1], even sides."""
    return load(zoo_file("zoo/denoise"))


def dejpeg() -> nn.Module:
    """Return the remover of JPEG artefacts, blind to quality; images as for ``denoise``."""
    return load(zoo_file("zoo/dejpeg"))


def demosaic() -> nn.Module:
    """Return the maker of colours: zero-filled Bayer mosaics (B, 3, H, W), of any phase."""
    return load(zoo_file("zoo/demosaic"))


def super_resolution_x2() -> nn.Module:
    """Return the ×2 enlarger: (B, 3, H, W) in [0, 1] → (B, 3, 2H, 2W)."""
    return load(zoo_file("zoo/super_resolution_x2"))


def super_resolution_x3() -> nn.Module:
    """Return the ×3 enlarger; images as for ``super_resolution_x2``."""
    return load(zoo_file("zoo/super_resolution_x3"))


def super_resolution_x4() -> nn.Module:
    """Return the ×4 enlarger; images as for ``super_resolution_x2``."""
    return load(zoo_file("zoo/super_resolution_x4"))
