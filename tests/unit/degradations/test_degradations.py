"""What each degradation promises beyond the operator that it calls."""

from collections import Counter

import pytest
import torch

from src.core.seeding import generator_for
from src.degradations.bicubic import Bicubic
from src.degradations.identity import Identity
from src.degradations.jpeg import Jpeg
from src.degradations.mosaic import Mosaic
from src.ops.bayer import PHASES, mosaic
from src.ops.pillow import jpeg


def _clean(count: int = 2, channels: int = 3, height: int = 24, width: int = 36) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(0, 256, (count, channels, height, width), generator=generator)
    return levels.float() / 255


def test_training_shows_all_four_phases_equally_often() -> None:
    clean = torch.ones(400, 3, 2, 2)
    mosaiced = Mosaic().train()(clean, generator_for("cpu", "phases"))
    seen = Counter(
        phase
        for image in mosaiced
        for phase in PHASES
        if torch.equal(image[None], mosaic(clean[:1], phase))
    )
    assert sum(seen.values()) == 400
    assert min(seen[phase] for phase in PHASES) > 70  # 100 expected, sigma 8.7


def test_evaluation_always_sees_grbg_from_the_corner() -> None:
    clean = _clean()
    assert torch.equal(Mosaic().eval()(clean), mosaic(clean, "grbg"))


def test_a_chosen_phase_holds_in_training_too() -> None:
    clean = _clean()
    assert torch.equal(Mosaic("bggr").train()(clean), mosaic(clean, "bggr"))


def test_evaluation_compresses_from_the_corner() -> None:
    clean = _clean(channels=1)
    expected = torch.stack([jpeg(image, quality=20) for image in clean])
    assert torch.equal(Jpeg((20, 20)).eval()(clean), expected)


def test_training_moves_the_block_grid_and_evaluation_does_not() -> None:
    clean = _clean(channels=1)[:1].expand(64, -1, -1, -1)
    moved = Jpeg().train()(clean, generator_for("cpu", "grid"))
    fixed = Jpeg(grid="corner").train()(clean, generator_for("cpu", "grid"))
    assert len({image.numpy().tobytes() for image in moved}) > 20
    assert len({image.numpy().tobytes() for image in fixed}) == 1
    assert moved.shape == clean.shape


def test_each_image_draws_its_own_quality_from_the_whole_range() -> None:
    clean = _clean(channels=1)[:1].expand(60, -1, -1, -1)
    compressed = Jpeg((10, 12)).eval()(clean, generator_for("cpu", "quality"))
    for quality in (10, 11, 12):
        expected = jpeg(clean[0], quality=quality)
        assert any(torch.equal(image, expected) for image in compressed)


def test_samples_of_a_mosaic_have_the_noise_that_is_asked_for_and_gaps_have_none() -> None:
    clean = torch.full((2, 3, 64, 64), 0.5)
    noisy = Mosaic("rggb", noise=(10, 10))(clean, generator_for("cpu", "samples"))
    gaps = mosaic(torch.ones_like(clean), "rggb") == 0
    assert bool(noisy[gaps].eq(0).all())
    assert float((noisy - 0.5)[~gaps].std() * 255) == pytest.approx(10, rel=0.03)


def test_impossible_noise_of_a_mosaic_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match=r"noise must be \[low, high\]"):
        Mosaic(noise=(5, 0))


@pytest.mark.parametrize("noise", [(), (0,), (0, 0, 0), (0, float("inf"))])
def test_noise_of_a_mosaic_that_is_no_range_is_refused(noise: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="noise must be"):
        Mosaic(noise=noise)


@pytest.mark.parametrize("degradation", [Mosaic(), Jpeg((10, 90)), Bicubic(3), Identity()])
def test_the_generator_decides_everything(degradation: torch.nn.Module) -> None:
    clean = _clean()
    first, again = (degradation.train()(clean, generator_for("cpu", "same")) for _ in range(2))
    assert torch.equal(first, again)


def test_bicubic_shrinks_by_its_scale_and_rounds_unless_told_otherwise() -> None:
    small = Bicubic(3)(_clean())
    exact = Bicubic(3, clip8=False)(_clean())
    assert small.shape == (2, 3, 8, 12)
    assert torch.equal((small * 255).round() / 255, small)
    assert 0 < float((small - exact).abs().max()) < 1.5 / 255 + 0.3  # overshoot is clipped


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Jpeg((0, 10)), "quality must be .low, high. with 1 <= low"),
        (lambda: Jpeg((40, 10)), "not .40, 10."),
        (lambda: Jpeg((10,)), "write it twice"),
        (lambda: Bicubic(0), "scale=0 must be at least 1"),
    ],
)
def test_a_setting_out_of_range_is_refused(build: object, says: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=says):
        build()


def test_random_subsampling_gives_all_three_in_training_and_the_usual_in_evaluation() -> None:
    clean = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).expand(
        60, -1, -1, -1
    )
    mixed = Jpeg((50, 50), subsampling="random", grid="corner")
    kinds = {
        name: Jpeg((50, 50), subsampling=name, grid="corner")(clean[:1])[0]
        for name in ("4:2:0", "4:2:2", "4:4:4")
    }
    seen = mixed.train()(clean, generator_for("cpu", "chroma"))
    counts = [sum(torch.equal(image, kind) for image in seen) for kind in kinds.values()]
    assert sum(counts) == 60
    assert min(counts) > 8
    assert torch.equal(mixed.eval()(clean[:1])[0], kinds["4:2:0"])
