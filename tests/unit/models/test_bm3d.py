"""BM3D through its optional package."""

import importlib.util

import pytest
import torch

from src.core.errors import ConfigError
from src.inference.choice import footprint
from src.metrics.psnr import psnr
from src.models.backbones.bm3d import BM3D

needs_bm3d = pytest.mark.skipif(
    importlib.util.find_spec("bm3d") is None, reason="the extra bm3d is not installed"
)


@needs_bm3d
@pytest.mark.parametrize("channels", [1, 3])
def test_noise_is_removed_at_the_level_that_is_given(channels: int) -> None:
    ramp = torch.linspace(0, 1, 40).expand(1, channels, 32, 40)
    generator = torch.Generator().manual_seed(0)
    noisy = ramp + 0.1 * torch.randn(ramp.shape, generator=generator)
    restored = BM3D(channels)(torch.cat([noisy, torch.full_like(noisy[:, :1], 0.1)], dim=1))
    assert restored.shape == ramp.shape
    assert float(psnr(restored, ramp)) > float(psnr(noisy, ramp)) + 10


@needs_bm3d
def test_without_a_noise_level_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs the noise level.*task=denoise"):
        BM3D(3)(torch.rand(1, 3, 32, 32))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(ConfigError, match=r"exemplar\[bm3d\]"):
        BM3D(3)(torch.rand(1, 4, 32, 32))


@needs_bm3d
def test_its_memory_is_said_to_be_unknown_instead_of_failing() -> None:
    assert footprint(BM3D(3), (1, 4, 32, 40), torch.float32, torch.device("cpu")) is None
