import math

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from src.core.errors import ConfigError
from src.metrics.evaluator import Evaluator
from src.metrics.protocol import Protocol
from src.metrics.psnr import psnr
from src.metrics.scoreboard import Scoreboard
from src.metrics.ssim import ssim


def _pair(*sigmas: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(len(sigmas), 3, 20, 24, generator=generator, dtype=torch.float64)
    noise = torch.randn(target.shape, generator=generator, dtype=torch.float64)
    return target + noise * torch.tensor(sigmas).view(-1, 1, 1, 1), target


def test_a_constant_error_has_the_psnr_of_the_formula() -> None:
    target = torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64)
    assert float(psnr(target + 0.1, target)) == pytest.approx(20.0)


def test_equal_images_have_infinite_psnr_and_ssim_one() -> None:
    _, target = _pair(0.1)
    assert math.isinf(float(psnr(target, target)))
    assert float(ssim(target, target)) == pytest.approx(1.0)


@pytest.mark.parametrize("size", [(74, 75), (139, 60), (20, 150)])
def test_ssim_in_pieces_is_that_of_the_whole_map(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    restored, target = torch.rand(2, 2, 3, *size, generator=generator, dtype=torch.float64)
    _, padded = structural_similarity_index_measure(
        restored, target, data_range=1.0, reduction="none", return_full_image=True
    )
    whole = padded[..., 5:-5, 5:-5].mean(dim=(1, 2, 3))
    torch.testing.assert_close(ssim(restored, target), whole, rtol=0, atol=1e-12)


def test_too_small_an_image_for_ssim_is_refused() -> None:
    image = torch.zeros(1, 3, 10, 20)
    with pytest.raises(ValueError, match="at least 11×11"):
        ssim(image, image)


def test_each_image_is_scored_by_itself() -> None:
    restored, target = _pair(0.01, 0.1)
    evaluator = Evaluator(Protocol("p"), {"psnr": psnr, "ssim": ssim})
    together = evaluator(restored, target)
    alone = [evaluator(restored[[index]], target[[index]])[0] for index in range(2)]
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-10)
    assert together[0]["psnr"] > together[1]["psnr"] + 15


def test_the_protocol_is_applied_to_both_images() -> None:
    target = torch.full((1, 3, 20, 24), 100.4 / 255)
    evaluator = Evaluator(Protocol("p"), {"psnr": psnr})
    assert math.isinf(evaluator(torch.full_like(target, 99.6 / 255), target)[0]["psnr"])


def test_the_scoreboard_keeps_one_score_an_image_and_means_over_images() -> None:
    board = Scoreboard()
    board.add("b", {"psnr": 1.0}, {"psnr": 0.0})
    board.add("b", {"psnr": 30.0}, {"psnr": 10.0})
    board.add("a", {"psnr": 20.0}, {"psnr": 14.0})
    assert board.means() == {"psnr": 25.0, "psnr_input": 12.0}
    assert list(board.gathered().restored) == ["a", "b"]


def test_an_empty_scoreboard_has_no_mean() -> None:
    assert Scoreboard().means() == {}


def test_a_metric_gives_one_score_an_image_which_of_a_single_one_may_be_a_number() -> None:
    image = torch.zeros(1, 3, 8, 8)
    evaluator = Evaluator(Protocol("p"), {"mae": torch.nn.functional.l1_loss})
    assert evaluator(image, image) == [{"mae": 0.0}]
    maps = Evaluator(Protocol("p"), {"map": torch.sub})
    with pytest.raises(ConfigError, match=r"metrics.map gives \(1, 3, \d+, \d+\) for 1 images"):
        maps.smallest_side(3, scale=1)
