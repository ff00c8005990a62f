"""Networks that the optional package spandrel recognises, converted and used like ours."""

import importlib
import importlib.util
from pathlib import Path

import pytest
import torch

from src.core.errors import CheckpointError, ConfigError
from src.core.types import RestorationNet
from src.models.backbones.dncnn import DnCNN
from src.runtime.weights.checkpoint import open_checkpoint, open_network, to_reference_weights
from src.runtime.weights.command import convert
from tests.support.compose import compose_config


def usable() -> bool:
    """Say whether spandrel can be imported; its torchvision may be of another build than torch."""
    try:
        importlib.import_module("spandrel")
    except (ImportError, RuntimeError):
        return False
    return True


needs_spandrel = pytest.mark.skipif(not usable(), reason="the extra spandrel is not installed")


def converted(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    torch.save(weights, folder / "net.pth")
    words = (
        f"source={folder / 'net.pth'}",
        "architecture=spandrel",
        f"output={folder}/n.safetensors",
    )
    convert(compose_config(*words, config_name="convert"))
    return folder / "n.safetensors"


@needs_spandrel
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_a_network_that_spandrel_recognises_gives_the_same_image(tmp_path: Path) -> None:
    net = DnCNN(blocks=15, batch_norm=False, attention_sites=()).eval()
    loaded = open_network(converted(tmp_path, to_reference_weights(net, "dncnn")))
    assert isinstance(loaded, RestorationNet)
    assert (loaded.scale, loaded.in_channels, loaded.multiple_of) == (1, 3, 1)
    image = torch.rand(1, 3, 9, 7)
    torch.testing.assert_close(loaded(image), net(image).clamp(0, 1))
    held = open_checkpoint(tmp_path / "n.safetensors")
    assert held.config.io == {"in_channels": 3, "out_channels": 3, "scale": 1}


@needs_spandrel
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="spandrel knows no network"):
        converted(tmp_path, {"some.weight": torch.zeros(3, 3, 3, 3)})


@pytest.mark.skipif(
    importlib.util.find_spec("spandrel") is not None, reason="the extra spandrel is installed"
)
def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"exemplar\[spandrel\]"):
        converted(tmp_path, {"some.weight": torch.zeros(3, 3, 3, 3)})
