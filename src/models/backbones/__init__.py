"""Restoration networks, one a file, readable from top to bottom."""

from torch import nn

from src.core.registry import Registry

BACKBONES: Registry[nn.Module] = Registry("model", "src.models.backbones")
