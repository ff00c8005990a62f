"""The embedding in which the attention of Mei et al. compares and collects features."""

from torch import nn


def embedding(channels: int, out_channels: int) -> nn.Sequential:
    """Return a 1×1 convolution and a PReLU: (B, C, H, W) to (B, out_channels, H, W).

    Mei et al., 2020, arXiv:2004.13824, and arXiv:2006.01424, in the authors'
    implementations.
    """
    return nn.Sequential(nn.Conv2d(channels, out_channels, kernel_size=1), nn.PReLU())
