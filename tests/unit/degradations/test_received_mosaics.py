"""Mosaics of files: of one channel or three, of a phase that is right or not."""

import logging
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from src.app.inference import demosaicing
from src.core.errors import ConfigError, ImageFileError
from src.data.datasets.sample_photos import SamplePhotos
from src.data.image_io import to_tensor
from src.degradations.mosaic import Mosaic
from src.ops.bayer import PHASES, Phase, mosaic
from src.weights.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    return to_tensor(SamplePhotos("train").items()["coffee"].load(3))[None]


@pytest.mark.parametrize("phase", PHASES)
def test_a_mosaic_of_one_channel_becomes_what_the_network_was_trained_on(
    phase: Phase, photograph: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    filled = mosaic(photograph, phase)
    raw = filled.sum(dim=1, keepdim=True).expand(-1, 3, -1, -1)  # as a grey file is read
    assert torch.equal(Mosaic(phase).received(raw, "a.png"), filled)
    assert torch.equal(Mosaic(phase).received(filled, "b.png"), filled)
    assert not caplog.records


@pytest.mark.parametrize(
    ("given", "actual", "says"),
    [
        ("random", "rggb", "a.png: its greens are not where phase=grbg has them"),
        ("rggb", "grbg", "a.png: its greens are not where phase=rggb has them"),
        ("rggb", None, "a.png: it looks like a grey image"),
    ],
)
def test_an_implausible_phase_of_one_channel_is_warned_of(
    given: Phase, actual: Phase | None, says: str, photograph: Tensor,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    grey = photograph.mean(dim=1, keepdim=True)
    raw = mosaic(photograph, actual).sum(dim=1, keepdim=True) if actual else grey
    with caplog.at_level(logging.WARNING):
        Mosaic(given).received(raw.expand(-1, 3, -1, -1), "a.png")
    assert says in caplog.text


def test_a_zero_filled_mosaic_of_another_phase_is_warned_of_and_a_colour_image_is_refused(
    photograph: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    filled = mosaic(photograph, "bggr")
    assert torch.equal(Mosaic("random").received(filled, "a.png"), filled)
    assert not caplog.records  # trained on all phases
    Mosaic("rggb").received(filled, "a.png")
    assert "a mosaic of phase bggr, and phase rggb is expected" in caplog.text
    with pytest.raises(ImageFileError, match=r"b\.png: has more than one colour a pixel"):
        Mosaic("random").received(photograph, "b.png")


def test_the_phase_given_counts_before_that_of_the_training() -> None:
    def trained(**degradation: str) -> Checkpoint:
        return Checkpoint(Path("x.ckpt"), DictConfig({"degradation": degradation}), 0, {}, {})

    ours = trained(_target_="src.degradations.mosaic.Mosaic", phase="rggb")
    other = trained(_target_="src.degradations.gaussian.GaussianNoise")
    alone = Checkpoint(Path("x.safetensors"), DictConfig({}), 0, {}, {})
    phases = [found and found.phase for found in (demosaicing(c, None) for c in (ours, alone))]
    assert phases == ["rggb", None]
    stated = [demosaicing(checkpoint, "gbrg") for checkpoint in (ours, alone)]
    assert [mosaic and mosaic.phase for mosaic in stated] == ["gbrg", "gbrg"]
    assert demosaicing(other, None) is None
    with pytest.raises(ConfigError, match=r"phase=gbrg: .* does not demosaic"):
        demosaicing(other, "gbrg")
    with pytest.raises(ConfigError, match="phase=rgb: Did you mean"):
        demosaicing(ours, "rgb")
