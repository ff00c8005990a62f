"""LPIPS and DISTS: an extra that says what is missing and never downloads."""

import importlib.util
from pathlib import Path

import pytest
import torch

from src.core.errors import ConfigError
from src.metrics.perceptual import dists, lpips

IMAGE = torch.rand(1, 3, 40, 33, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("metric", [lpips, dists])
def test_without_torchvision_the_extra_is_named(
    metric: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(metric)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"exemplar\[perceptual\]"):
        metric(IMAGE, IMAGE)


@pytest.mark.parametrize(("metric", "file"), [(lpips, "alexnet-owt"), (dists, "vgg16")])
def test_absent_weights_are_named_and_not_fetched(
    metric: object, file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert callable(metric)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=f"{file}.*nothing is downloaded unasked"):
        metric(IMAGE, IMAGE)
