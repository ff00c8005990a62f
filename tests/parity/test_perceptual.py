"""LPIPS and DISTS against the packages of their authors, which bring their own layers along.

Both rest on networks of torchvision, whose weights neither package holds. Here all of them are
given the same random ones: what is compared is everything that is done with the features, and the
learned weights of LPIPS 0.1 and DISTS.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from src.metrics import perceptual


def missing() -> str:
    """Return which packages cannot be imported; torchvision may be of another build than torch."""
    names = []
    for name in ("torchvision", "lpips", "DISTS_pytorch"):
        try:
            importlib.import_module(name)
        except (ImportError, RuntimeError):
            names.append(name)
    return ", ".join(names)


ABSENT = missing()
pytestmark = [
    pytest.mark.parity,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(bool(ABSENT), reason=f"not installed, or of another build: {ABSENT}"),
]


@pytest.fixture
def _random_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    models = importlib.import_module("torchvision.models")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub/checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    for name, file in perceptual.WEIGHTS.items():
        torch.save(getattr(models, name)().state_dict(), folder / file)
    _forget()
    yield
    _forget()


def _forget() -> None:
    """Drop the networks that were loaded; the next call reads their files again."""
    perceptual._lpips.cache_clear()
    perceptual._dists.cache_clear()


def images() -> tuple[Tensor, Tensor]:
    """Return three targets and, further and further from them, three restorations."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 3, 64, 80, generator=generator)
    noise = torch.randn(target.shape, generator=generator) * torch.tensor([0.02, 0.1, 0.3]).view(
        3, 1, 1, 1
    )
    return (target + noise).clamp(0, 1), target


@pytest.mark.usefixtures("_random_weights")
@torch.no_grad()
def test_lpips_is_the_authors() -> None:
    restored, target = images()
    theirs = importlib.import_module("lpips").LPIPS(net="alex", version="0.1", verbose=False)
    expected = theirs(2 * restored - 1, 2 * target - 1).flatten().double()
    scores = perceptual.lpips(restored.double(), target.double())
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-7)
    assert (scores.diff() > 0).all()
    assert (perceptual.lpips(target, target) == 0).all()


@pytest.mark.usefixtures("_random_weights")
@torch.no_grad()
def test_dists_is_the_authors() -> None:
    restored, target = images()
    expected = importlib.import_module("DISTS_pytorch").DISTS()(restored, target).double()
    scores = perceptual.dists(restored.double(), target.double())
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-6)
    assert (scores.diff() > 0).all()
    assert perceptual.dists(target, target).abs().max() < 1e-5
