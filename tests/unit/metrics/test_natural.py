"""NIQE and BRISQUE against other implementations' scores of photographs that come along."""

from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from src.core.paths import ROOT
from src.metrics.direction import higher_is_better
from src.metrics.evaluator import Evaluator, Metric
from src.metrics.natural import brisque, niqe
from src.metrics.protocol import Protocol
from src.ops.color import grey8

BABOON = ROOT.parent / "shared/data/benchmarks/Set14/baboon.png"


@cache
def photograph(name: str) -> Tensor:
    pixels = np.asarray(Image.open(ROOT / f"src/data/photographs/{name}.webp").convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].double() / 255


@pytest.mark.parametrize(
    ("name", "theirs", "within"),
    # basicsr.metrics.calculate_niqe, 1.4.2, which calculates in float32: of the astronaut's flat
    # black parts it has the rounding errors too.
    [("chelsea", 2.625524, 1e-4), ("coffee", 4.115242, 1e-4), ("astronaut", 3.064948, 1e-3)],
)
def test_niqe_is_that_of_another_implementation(name: str, theirs: float, within: float) -> None:
    image = photograph(name)
    assert float(niqe(image, torch.zeros_like(image))) == pytest.approx(theirs, abs=within)


@pytest.mark.parametrize(
    # piq.brisque, 0.8.0, of our grey image (its own weighs colours otherwise), sides even
    ("name", "theirs"),
    [("coffee", 30.06602859), ("chelsea", 2.78850651)],
)
def test_brisque_is_that_of_another_implementation(name: str, theirs: float) -> None:
    image = grey8(photograph(name))
    even = image[..., : image.shape[-2] // 2 * 2, : image.shape[-1] // 2 * 2]
    assert float(brisque(even, even)) == pytest.approx(theirs, abs=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("metric", [niqe, brisque])
def test_noise_makes_an_image_less_natural_and_less_is_better(metric: Metric) -> None:
    image = photograph("chelsea")
    noise = 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    noisy = (image + noise).clamp(0, 1)
    both = metric(torch.cat([image, noisy]), torch.cat([image, image]))
    assert both[1] > both[0] + 1
    assert float(both[1]) == pytest.approx(float(metric(noisy, image)))
    assert higher_is_better(metric.__name__) is False


def test_the_least_side_is_known_before_anything_is_scored() -> None:
    assert Evaluator(Protocol("rgb"), {"niqe": niqe}).smallest_side(3, 1) == 192
    with pytest.raises(ValueError, match="at least 192×192"):
        niqe(torch.rand(1, 3, 191, 300), torch.rand(1, 3, 191, 300))


@pytest.mark.skipif(not BABOON.is_file(), reason="Set14 lies beside the checkout, not in it")
def test_niqe_of_baboon_is_that_of_matlab() -> None:
    """R2021a, as printed in the docstring of BasicSR's calculate_niqe."""
    pixels = np.asarray(Image.open(BABOON).convert("RGB"))
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].double() / 255
    assert float(niqe(image, image)) == pytest.approx(5.72957338, abs=1e-6)


@pytest.mark.parametrize("metric", [niqe, brisque])
@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_an_image_of_which_nothing_can_be_fitted_has_no_score(metric: Metric, value: float) -> None:
    """A network that shows one grey, or diverged, is scored in training too; others are as ever."""
    image = photograph("chelsea")[..., :192, :192]
    both = torch.cat([torch.full_like(image, value), image])
    scores = metric(both, both)
    assert scores[0].isnan()
    assert scores[1].isfinite()
