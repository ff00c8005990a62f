"""The adversarial loss: its forms, its penalty, and who learns when."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.core.seeding import generator_for
from src.losses.adversarial import AdversarialLoss
from src.losses.discriminators import build


def _images(seed: int) -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=generator_for("cpu", seed))


def test_initial_weights_are_a_function_of_the_seed() -> None:
    one, again, other = (
        build("unet", 3, 4, generator_for("cpu", seed)).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["unet", "patch"])
def test_weights_of_the_inner_layers_have_the_spectral_norm_1(kind: str) -> None:
    network = build(kind, 3, 4, generator_for("cpu", 0))
    layer = network.get_submodule("down.0" if kind == "unet" else "layers.0")
    with torch.no_grad():
        for _ in range(20):  # each reading improves the estimate of the largest singular value
            weight: Tensor = layer.weight  # type: ignore[assignment]
        largest = float(torch.linalg.matrix_norm(weight.flatten(1), ord=2))
    assert largest == pytest.approx(1, abs=0.05)


def test_forms_are_the_papers_formulas() -> None:
    restored, clean = _images(1), _images(2)
    for form in ("vanilla", "hinge", "least_squares"):
        loss = AdversarialLoss(channels=4, form=form).eval()
        of_restored, of_clean = loss.discriminator(restored), loss.discriminator(clean)
        told = float(loss(restored, clean).detach())
        own = float(loss._own(restored, clean).detach())
        log = torch.nn.functional.logsigmoid
        expected = {
            "vanilla": (-log(of_restored), -log(of_clean) - log(-of_restored)),
            "hinge": (-of_restored, F.relu(1 - of_clean) + F.relu(1 + of_restored)),
            "least_squares": ((of_restored - 1) ** 2, (of_clean - 1) ** 2 + of_restored**2),
        }[form]
        assert told == pytest.approx(float(expected[0].detach().mean()), rel=1e-5)
        assert own == pytest.approx(float(expected[1].detach().mean()), rel=1e-5)


def test_the_penalty_is_half_the_squared_slope_at_clean_images() -> None:
    restored, clean = _images(1), _images(2)
    plain = AdversarialLoss(channels=4).eval()
    with_penalty = AdversarialLoss(channels=4, r1=3).eval()
    both = (each._own(restored, clean).detach() for each in (plain, with_penalty))
    without, penalised = map(float, both)
    more = penalised - without
    x = clean.clone().requires_grad_()
    (slope,) = torch.autograd.grad(plain.discriminator(x).sum(), x)
    assert more == pytest.approx(1.5 * float(slope.detach().square().sum()) / 2, rel=1e-3)


@pytest.mark.long
def test_the_discriminator_learns_in_its_own_step_alone_and_tells_images_apart() -> None:
    loss = AdversarialLoss(channels=4, lr=1e-2).train()
    before = [weights.clone() for weights in loss.discriminator.parameters()]
    restored = _images(1).requires_grad_()
    loss(restored, _images(2) / 2).backward()
    assert restored.grad is not None
    assert bool(restored.grad.abs().sum(dim=(1, 2, 3)).gt(0).all())  # the network is told something
    assert all(weights.grad is None for weights in loss.discriminator.parameters())
    assert all(map(torch.equal, before, loss.discriminator.parameters()))
    for _ in range(30):
        loss(restored, _images(2) / 2)
        loss.after_backward()
    assert not all(map(torch.equal, before, loss.discriminator.parameters()))
    assert float(loss.judged) < math.log(4) - 0.1  # what a discriminator has that knows nothing


def test_images_that_are_only_scored_are_not_learnt_from() -> None:
    loss = AdversarialLoss(channels=4)
    weights = loss.discriminator.state_dict()
    before = {name: tensor.clone() for name, tensor in weights.items() if "original" in name}
    with torch.no_grad():
        loss(_images(1), _images(2))
    loss.after_backward()
    assert all(torch.equal(before[name], weights[name]) for name in before)
