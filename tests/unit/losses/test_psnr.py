"""The PSNR loss: minus the mean PSNR of the images, each by itself."""

import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio

from src.core.seeding import generator_for
from src.losses.psnr import PSNRLoss


def test_it_is_minus_the_mean_psnr_of_the_images() -> None:
    generator = generator_for("cpu", 0)
    clean = torch.rand(3, 3, 16, 20, generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    restored = clean + noise * torch.tensor([0.01, 0.05, 0.3]).reshape(3, 1, 1, 1)
    pairs = zip(restored, clean, strict=True)
    each = [peak_signal_noise_ratio(image, goal, data_range=1.0) for image, goal in pairs]
    mean = float(torch.stack(each).mean())
    assert float(PSNRLoss(floor=1e-12)(restored, clean)) == pytest.approx(-mean, abs=1e-4)


def test_an_exact_image_gives_a_finite_loss_and_slope() -> None:
    clean = torch.full((2, 1, 4, 4), 0.5)
    restored = clean.clone().requires_grad_()
    loss = PSNRLoss(floor=1e-5)(restored, clean)
    loss.backward()
    assert loss.item() == pytest.approx(-50, abs=1e-3)
    assert restored.grad is not None
    assert bool(restored.grad.eq(0).all())


def test_a_floor_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive number, got 0"):
        PSNRLoss(floor=0)
