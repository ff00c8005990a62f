"""Initial weights for plain stacks of convolutions and ReLU (He et al., 2015, arXiv:1502.01852)."""

from torch import nn


def he_init(net: nn.Module) -> None:
    """Draw the weights of all 2-D convolutions from N(0, 2 / fan-in); biases become zero.

    PyTorch's own rule has a sixth of this variance: after twenty layers nothing is left.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
