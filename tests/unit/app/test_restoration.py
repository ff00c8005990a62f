"""Which noise level predict tells a network, and what it says where there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from src.app.restoration import Restoration, image_channels, noise_level
from src.core.errors import ConfigError
from src.data.datasets.sample_photos import SamplePhotos
from src.data.photograph import read_photograph
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer
from src.models.backbones.ffdnet import FFDNet
from src.weights.checkpoint import Checkpoint

TOLD = FFDNet(4, 3, channels=4, blocks=1)
FIXED = FFDNet(3, 3, channels=4, blocks=1)


def _checkpoint(**config: Any) -> Checkpoint:  # noqa: ANN401
    return Checkpoint(Path("net.ckpt"), DictConfig(config), 0, {}, {})


def test_the_level_given_counts_before_that_of_the_training() -> None:
    trained = _checkpoint(degradation={"sigma": [25, 25]})
    assert noise_level(TOLD, trained, None) == 25
    assert noise_level(TOLD, trained, 40) == 40
    assert noise_level(FIXED, trained, None) is None


@pytest.mark.parametrize("config", [{}, {"degradation": {"sigma": [0, 55]}}])
def test_a_level_that_nobody_said_is_left_to_the_image(config: dict[str, Any]) -> None:
    assert noise_level(TOLD, _checkpoint(**config), None) is None


@pytest.mark.parametrize("given", [-1, 300, [15, 25]])
def test_an_impossible_level_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="is not possible; it is one number on the 8-bit scale"):
        noise_level(TOLD, _checkpoint(), given)


def test_a_network_that_is_not_told_refuses_a_level() -> None:
    with pytest.raises(ConfigError, match=r"sigma=25: FFDNet of net\.ckpt is not told"):
        noise_level(FIXED, _checkpoint(), 25)


def test_the_level_is_no_channel_of_the_image() -> None:
    assert (image_channels(TOLD), image_channels(FIXED)) == (3, 3)


@pytest.mark.parametrize("subsampling", [0, 2])
def test_the_noise_of_a_jpeg_is_estimated_whether_its_chroma_is_thinned_out_or_not(
    subsampling: int, tmp_path: Path
) -> None:
    clean = SamplePhotos("val").items()["astronaut"].load(3)[100:356, 150:406]
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    file = tmp_path / "a.jpg"
    noisy = Image.fromarray((clean + noise).clip(0, 255).round().astype(np.uint8))
    noisy.save(file, quality=95, subsampling=subsampling)
    way = Restoration(Restorer(TOLD, InferencePolicy()), 1, None, None, "denoise", None, 1.0,
                      torch.device("cpu"))  # fmt: skip
    assert way.level(read_photograph(file)) == pytest.approx(25, rel=0.1)
