"""Restoration networks, one a file, readable from top to bottom."""

from torch import nn

from src.core.registry import Registry

BACKBONES: Registry[nn.Module] = Registry("model", "src.models.backbones")


class Backbone(nn.Module):
    """What most networks have in common: they keep the size of an image, and take any.

    It keeps :class:`src.core.types.RestorationNet`, where the attributes are explained; networks
    state what is different about them.
    """

    multiple_of: int = 1
    min_size: int = 1
    global_context: bool

    def __init__(self, in_channels: int, out_channels: int, scale: int = 1) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.scale = in_channels, out_channels, scale
