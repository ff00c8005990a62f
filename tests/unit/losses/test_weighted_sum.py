"""Each term of a sum against its definition, and what a sum is made of."""

from pathlib import Path

import kornia
import numpy as np
import pytest
import torch
from torch import nn

from src.core.errors import ConfigError
from src.losses.perceptual import PerceptualLoss
from src.losses.weighted_sum import WeightedSum


def images(side: int = 16, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    restored, target = torch.rand(2, 2, channels, side, side, generator=generator)
    return restored, target


def value(name: str, restored: torch.Tensor, target: torch.Tensor) -> float:
    return float(WeightedSum({name: 1.0})(restored, target))


def test_l1_l2_and_charbonnier() -> None:
    restored, target = images()
    difference = (restored - target).numpy().astype(np.float64)
    assert value("l1", restored, target) == pytest.approx(np.abs(difference).mean())
    assert value("l2", restored, target) == pytest.approx((difference**2).mean())
    smooth = np.sqrt(difference**2 + 1e-6).mean()
    assert value("charbonnier", restored, target) == pytest.approx(smooth)


def test_total_variation_is_that_of_kornia() -> None:
    restored, target = images()
    ours = value("tv", restored, target)
    sums = kornia.losses.total_variation(restored, reduction="sum").sum()
    assert ours == pytest.approx(float(sums) / (2 * 3 * 16 * 15))


def test_gradient_and_spectrum_against_loops() -> None:
    restored, target = images(side=6)
    difference = (restored - target).numpy().astype(np.float64)
    rows = [abs(difference[..., i + 1, :] - difference[..., i, :]).mean() for i in range(5)]
    columns = [abs(difference[..., i + 1] - difference[..., i]).mean() for i in range(5)]
    assert value("gradient", restored, target) == pytest.approx(np.mean(rows) + np.mean(columns))
    spectrum = np.abs(np.fft.fft2(difference)) / 6
    assert value("fft", restored, target) == pytest.approx(spectrum.mean(), rel=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(("side", "theirs"), [(176, 0.91805376), (256, 0.92453213)])
def test_ms_ssim_is_that_of_another_implementation(side: int, theirs: float) -> None:
    """`theirs`: ``pytorch_msssim.ms_ssim(restored, target, data_range=1.0)`` of its 1.0.0.

    It has only positions where the window fits; torchmetrics mirrors the border at the last scale.
    """
    axis = torch.arange(side, dtype=torch.float64)
    rows, columns = axis[:, None] / 32, axis / 32
    target = torch.stack(
        [
            0.5
            + 0.2 * torch.sin((1 + channel) * rows)
            + 0.2 * torch.cos(2.3 * columns * (1 + rows / 9) + channel)
            for channel in range(3)
        ]
    )[None]
    waves = 0.1 * torch.sin(axis * 1.7) * torch.cos(axis * 0.9)[:, None]
    restored = (target + waves).clamp(0, 1)
    assert value("ms_ssim", restored, target) == pytest.approx(1 - theirs, abs=2e-4)


def test_ssim_is_that_of_kornia_inside_and_ms_ssim_is_nearer() -> None:
    restored, target = images(side=192)
    restored = 0.8 * target + 0.2 * restored
    theirs = kornia.metrics.ssim(restored, target, 11, padding="same").mean()
    assert value("ssim", restored, target) == pytest.approx(1 - float(theirs), abs=3e-3)
    assert 0 < value("ms_ssim", restored, target) < value("ssim", restored, target)
    for name in ("ssim", "ms_ssim"):
        assert value(name, target, target) == pytest.approx(0, abs=1e-6)


def test_the_sum_is_weighted_and_its_terms_are_kept() -> None:
    restored, target = images()
    loss = WeightedSum({"l1": 2.0, "fft": 0.5, "l2": 0.0})
    total = float(loss(restored, target))
    assert set(loss.latest) == {"l1", "fft"}
    expected = 2 * float(loss.latest["l1"]) + 0.5 * float(loss.latest["fft"])
    assert total == pytest.approx(expected)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"l3": 1.0}, "no 'l3'"),
        ({"l1": -1.0}, "at least 0"),
        ({"l1": 0.0}, "all weights are 0"),
        ({"perceptual": 1.0}, "curl -LO https://download.pytorch.org/models/vgg19"),
    ],
)
def test_what_makes_no_sum_is_refused(terms: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        WeightedSum(terms)


@pytest.mark.parametrize(("name", "side"), [("ssim", 10), ("ms_ssim", 160)])
def test_patches_too_small_for_a_window_are_refused(name: str, side: int) -> None:
    with pytest.raises(ConfigError, match=r"data\.patch_size"):
        value(name, *images(side))


def vgg() -> nn.Sequential:
    """VGG-19's features as torchvision lays them out, with weights that pass something on."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    before = 3
    for width, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(count):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            nn.init.kaiming_normal_(layers[-2].weight)  # type: ignore[arg-type]
            before = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


@pytest.mark.long
def test_the_perceptual_loss_compares_features_of_the_file(tmp_path: Path) -> None:
    net = vgg()
    named = {f"features.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save(named, tmp_path / "vgg19.pth")
    loss = PerceptualLoss(str(tmp_path / "vgg19.pth"))
    restored, target = images(side=32)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    theirs, wanted = (net[:35]((image - mean) / std) for image in (restored, target))
    torch.testing.assert_close(loss(restored, target), (theirs - wanted).abs().mean())
    assert not loss.state_dict()
    assert not list(loss.parameters())
    restored.requires_grad_()
    loss(restored, target).backward()
    assert restored.grad is not None
    assert restored.grad.any()
    assert loss(*images(side=16, channels=1)).isfinite()


def test_another_file_is_no_perceptual_network(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "net.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name in ("net.pth", "text.pth"):
        with pytest.raises(ConfigError, match="is not what"):
            PerceptualLoss(str(tmp_path / name))
