"""Composed degradations: what is drawn, within which ranges, and that it can be drawn again."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.special import j1
from torch import Tensor, nn

from src.core.paths import CONF_DIR
from src.core.seeding import generator_for
from src.degradations.blur import SHAPES, Blur
from src.degradations.chain import Chain, OneOf, Sometimes
from src.degradations.drawn import Drawn, noted
from src.degradations.gaussian import GaussianNoise
from src.degradations.jpeg import Jpeg, Webp
from src.degradations.noise import MixedNoise, SensorNoise
from src.degradations.resize import Resize

RECIPES = ("chain", "real_esrgan", "bsrgan")


def _recipe(name: str, scale: int) -> nn.Module:
    node = OmegaConf.load(CONF_DIR / f"degradation/{name}.yaml")
    node.scale, node.clip8 = scale, True
    built: nn.Module = instantiate(node, _convert_="all")
    return built.eval()


def _image(height: int = 32, width: int = 48, channels: int = 3) -> Tensor:
    ramp = torch.linspace(0, 1, height * width).view(1, 1, height, width)
    return ramp.expand(1, channels, -1, -1).clone()


def _rows(degradation: nn.Module, count: int, image: Tensor) -> list[Drawn]:
    rows = []
    for number in range(count):
        with noted() as drawn:
            degradation(image, generator_for("cpu", number))
        rows.append(drawn)
    return rows


def _numbers(rows: list[Drawn], name: str) -> list[float]:
    return [float(row[name]) for row in rows if name in row]


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_the_same_image_again_and_another_for_another_sample(
    name: str, scale: int
) -> None:
    recipe, image = _recipe(name, scale), _image()
    first, again, other = (recipe(image, generator_for("cpu", seed)) for seed in (1, 1, 2))
    assert first.shape == (1, 3, 32 // scale, 48 // scale)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first, (first * 255).round() / 255)


@pytest.mark.parametrize("name", RECIPES)
def test_each_image_of_a_batch_draws_for_itself(name: str) -> None:
    batch = _image().expand(2, -1, -1, -1)
    one, other = _recipe(name, 2)(batch, generator_for("cpu", 1))
    assert not torch.equal(one, other)


RANGES = {
    "blur.sigma": (0.2, 3.0),
    "blur.half_side": (3, 10),
    "resize.factor": (0.15, 1.5),
    "noise.sigma": (1, 30),
    "noise.scale": (0.05, 3.0),
    "jpeg.quality": (30, 95),
    "second_blur.sigma": (0.2, 1.5),
    "second_resize.factor": (0.3, 1.2),
    "second_noise.sigma": (1, 25),
}


@pytest.mark.long
def test_the_parameters_of_real_esrgan_fill_their_published_ranges() -> None:
    rows = _rows(_recipe("real_esrgan", 4), 300, _image(16, 16))
    for name, (low, high) in RANGES.items():
        numbers = _numbers(rows, name)
        assert low <= min(numbers), name
        assert max(numbers) <= high, name
        assert np.ptp(numbers) > 0.8 * (high - low), name
    shares = Counter(row["resize.direction"] for row in rows)
    for direction, share in {"up": 0.2, "down": 0.7, "keep": 0.1}.items():
        assert shares[direction] / 300 == pytest.approx(share, abs=0.1), direction
    ends = Counter(row["end.way"] for row in rows)
    assert ends["jpeg_last"] == pytest.approx(150, abs=35)
    skipped = sum("second_blur.skipped" in row for row in rows)
    assert skipped == pytest.approx(60, abs=28)


def test_the_order_of_bsrgan_is_drawn() -> None:
    rows = _rows(_recipe("bsrgan", 2), 40, _image(16, 16))
    assert len({row["shuffled.order"] for row in rows}) > 30


def test_a_chain_without_random_steps_is_its_steps_in_their_order() -> None:
    image = _image()
    jpeg, webp = Jpeg((30, 30), grid="corner").eval(), Webp((50, 50))
    one_by_one = webp(jpeg(image, None), None)
    assert torch.equal(Chain({"jpeg": jpeg, "webp": webp}).eval()(image), one_by_one)


def test_only_the_outermost_chain_brings_an_image_to_its_size() -> None:
    larger = Resize((0.5, 2), direction={"up": 1})
    inner = Chain({"larger": larger}, scale=4)
    chain = Chain({"inner": inner, "again": larger}, scale=2)
    assert chain(_image(), generator_for("cpu", 0)).shape == (1, 3, 16, 24)


def test_sometimes_is_as_often_as_it_says() -> None:
    image = _image(8, 8)
    step = Sometimes(GaussianNoise((50, 50)), 0.3)
    changed = sum(not torch.equal(step(image, generator_for("cpu", n)), image) for n in range(400))
    assert changed == pytest.approx(120, abs=30)


def test_one_of_several_ways_is_taken_by_its_weight() -> None:
    ways: dict[str, nn.Module] = {name: GaussianNoise((1, 1)) for name in ("a", "b", "c")}
    step = OneOf(ways, {"a": 3, "b": 1, "c": 0})
    shares = Counter(row["way"] for row in _rows(step, 400, _image(4, 4)))
    assert shares["a"] == pytest.approx(300, abs=35)
    assert shares["c"] == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_sum_to_one_and_leave_a_flat_image_as_it_is(shape: str) -> None:
    blur = Blur({shape: 1})
    kernel = blur.kernel(generator_for("cpu", 3))
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    flat = torch.full((1, 3, 9, 9), 0.4)  # smaller than the kernel
    torch.testing.assert_close(blur(flat, generator_for("cpu", 3)), flat, rtol=0, atol=1e-5)


def _drawn_kernel(shape: str) -> tuple[np.ndarray, Drawn, np.ndarray, np.ndarray]:
    with noted() as drawn:
        kernel = Blur({shape: 1}, size=(15, 15)).kernel(generator_for("cpu", 5))
    y, x = np.mgrid[-7:8, -7:8].astype(float)
    return kernel.numpy(), drawn, y, x


def _distance(drawn: Drawn, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the quadratic form of the covariance matrix, by its inverse."""
    a, s, t = (float(drawn.get(k, d)) for k, d in (("angle", 0), ("sigma", 0), ("sigma_across", 0)))
    turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    inverse = np.linalg.inv(turn @ np.diag([s**2, (t or s) ** 2]) @ turn.T)
    points = np.stack([x, y], -1)
    form: np.ndarray = np.einsum("...i,ij,...j->...", points, inverse, points)
    return form


FORMULAS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "isotropic": lambda form, beta: np.exp(-form / 2),
    "anisotropic": lambda form, beta: np.exp(-form / 2),
    "generalised": lambda form, beta: np.exp(-(form**beta) / 2),
    "generalised_anisotropic": lambda form, beta: np.exp(-(form**beta) / 2),
    "plateau": lambda form, beta: 1 / (1 + form**beta),
    "plateau_anisotropic": lambda form, beta: 1 / (1 + form**beta),
}


@pytest.mark.parametrize("shape", FORMULAS)
def test_a_gaussian_kernel_is_what_its_formula_says(shape: str) -> None:
    kernel, drawn, y, x = _drawn_kernel(shape)
    expected = FORMULAS[shape](_distance(drawn, y, x), float(drawn.get("beta", 1)))
    np.testing.assert_allclose(kernel, expected / expected.sum(), atol=1e-5)


def test_a_sinc_kernel_is_what_its_formula_says() -> None:
    kernel, drawn, y, x = _drawn_kernel("sinc")
    cutoff, r = float(drawn["cutoff"]), np.hypot(x, y)
    with np.errstate(invalid="ignore"):
        expected = cutoff * j1(cutoff * r) / (2 * np.pi * r)
    expected[7, 7] = cutoff**2 / (4 * np.pi)
    np.testing.assert_allclose(kernel, expected / expected.sum(), atol=1e-5)


def test_poisson_noise_grows_with_the_level_and_gaussian_noise_does_not() -> None:
    half = torch.cat([torch.full((1, 3, 64, 64), 0.1), torch.full((1, 3, 64, 64), 0.6)], dim=-1)
    half[..., 0, :] = torch.linspace(0, 1, 128)  # so that an image has many levels
    for gaussian, grows in ((0.0, True), (1.0, False)):
        noise = MixedNoise(gaussian, sigma=(10, 10), scale=(1, 1), grey=0)
        noisy = noise(half, generator_for("cpu", 1)) - half
        ratio = float(noisy[..., 1:, 64:].std() / noisy[..., 1:, :64].std())
        assert ratio == pytest.approx(math.sqrt(6) if grows else 1, rel=0.1)


def test_grey_noise_is_the_same_in_all_channels() -> None:
    image = torch.full((1, 3, 16, 16), 0.5)
    noisy = MixedNoise(1, sigma=(10, 10), grey=1)(image, generator_for("cpu", 1))
    assert torch.equal(noisy[:, 0], noisy[:, 2])


def test_the_variance_of_sensor_noise_is_shot_times_light_and_read() -> None:
    image = torch.full((1, 3, 256, 256), 0.5)
    with noted() as drawn:
        noisy = SensorNoise((0.005, 0.005))(image, generator_for("cpu", 2))
    light = 0.5**2.2
    expected = float(drawn["shot"]) * light + float(drawn["read"])
    assert float((noisy**2.2).var()) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Chain({}), "one step or more"),
        (lambda: Chain({"a": nn.Identity()}, resizing={"lanczos": 1}), "area, bilinear"),
        (lambda: Sometimes(nn.Identity(), 2), "from 0 to 1"),
        (lambda: OneOf({"a": nn.Identity()}, {"b": 1}), "weights must give choices of a"),
        (lambda: Blur({"box": 1}), "isotropic"),
        (lambda: Blur(size=(4, 4)), "no odd number"),
        (lambda: Blur(sigma=(3, 1)), "low <= high"),
        (lambda: Resize((1.2, 1.5)), "must include 1"),
        (lambda: Webp((50, 101)), "within 1 to 100"),
        (lambda: MixedNoise(1.5), "share from 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(build: Callable[[], nn.Module], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build()
