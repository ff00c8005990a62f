"""Attention blocks: built with ``channels``, mapping features to features."""

from torch import nn

from src.core.registry import Registry

ATTENTION: Registry[nn.Module] = Registry("attention", "src.models.attention")
