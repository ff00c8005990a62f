"""Resizing against a dense, independent formulation of MATLAB's rules; padding and cutting."""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from src.ops.resize import (
    by_products,
    cut,
    downscale,
    interpolate,
    mirror_to_multiple,
    mod_crop,
    pad_to_multiple,
    upscale,
)

Matrix = npt.NDArray[np.float64]


def _cubic(distance: float) -> float:
    d = abs(distance)
    if d <= 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def _matrix(length: int, new_length: int) -> Matrix:
    """Each row holds the weights of one output pixel, by loops over every tap."""
    shrink = max(1.0, length / new_length)
    matrix = np.zeros((new_length, length))
    for row in range(new_length):
        centre = (row + 0.5) * length / new_length - 0.5
        reach = math.ceil(2 * shrink) + 1
        for tap in range(math.floor(centre) - reach, math.floor(centre) + reach + 2):
            inside = min(max(tap, 0), length - 1)
            matrix[row, inside] += _cubic((tap - centre) / shrink)
    normal: Matrix = matrix / matrix.sum(axis=1, keepdims=True)
    return normal


def _image(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, height, width), generator=generator).float() / 255


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_shrinking_is_two_rounded_passes_vertical_first(scale: int) -> None:
    image = _image(12 * scale, 17 * scale)
    levels = (image.double() * 255).round().numpy()
    vertical = np.einsum("oi,bcij->bcoj", _matrix(12 * scale, 12), levels)
    vertical = np.clip(np.floor(vertical + 0.5 + 1e-9), 0, 255)
    both = np.einsum("oj,bcij->bcio", _matrix(17 * scale, 17), vertical)
    both = np.clip(np.floor(both + 0.5 + 1e-9), 0, 255)
    ours = (downscale(image, scale).double() * 255).round().numpy()
    assert np.array_equal(ours, both)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_without_rounding_it_is_the_dense_product(scale: int) -> None:
    image = _image(9 * scale, 11 * scale).double()
    small = downscale(image, scale, clip8=False).numpy()
    dense = np.einsum("oi,bcij->bcoj", _matrix(9 * scale, 9), image.numpy())
    dense = np.einsum("oj,bcij->bcio", _matrix(11 * scale, 11), dense)
    assert np.abs(small - dense).max() < 1e-12


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_enlarging_is_the_dense_product(scale: int) -> None:
    image = _image(5, 7).double()
    dense = np.einsum("oi,bcij->bcoj", _matrix(5, 5 * scale), image.numpy())
    dense = np.einsum("oj,bcij->bcio", _matrix(7, 7 * scale), dense)
    assert np.abs(upscale(image, scale).numpy() - dense).max() < 1e-12


def test_an_8bit_result_is_exactly_what_a_file_would_hold() -> None:
    small = downscale(_image(16, 24), 2)
    assert torch.equal(small, (small * 255).round().to(torch.uint8).float() / 255)


def test_a_flat_image_stays_as_it_is_up_to_the_border() -> None:
    flat = torch.full((1, 1, 8, 12), 0.2)
    assert torch.allclose(upscale(flat, 3), torch.tensor(0.2), atol=1e-7)
    assert torch.equal(downscale(flat, 4), torch.full((1, 1, 2, 3), 0.2))


def test_gradients_pass_through_enlarging() -> None:
    small = _image(4, 5).requires_grad_()
    upscale(small, 2).sum().backward()
    assert small.grad is not None
    assert float(small.grad.sum()) == pytest.approx(4 * small.numel(), rel=1e-5)


def test_mod_crop_cuts_bottom_and_right() -> None:
    image = _image(11, 14)
    assert torch.equal(mod_crop(image, 3), image[..., :9, :12])
    assert mod_crop(image, 1) is not None
    assert mod_crop(image, 1).shape == image.shape


def test_an_image_smaller_than_the_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="14×2 px is too small for scale 3"):
        mod_crop(_image(2, 14), 3)


def test_a_side_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="no multiple of scale 3; use mod_crop"):
        downscale(_image(9, 10), 3)


@pytest.mark.parametrize("size", [(8, 12), (9, 12), (11, 13), (16, 17)])
def test_mirroring_by_index_equals_mirroring_by_padding(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    mirrored = mirror_to_multiple(image, 4)
    assert torch.equal(mirrored, pad_to_multiple(image, 4))
    height, width = (-side % 4 for side in size)
    assert torch.equal(mirrored, F.pad(image, (0, width, 0, height), mode="reflect"))
    assert torch.equal(cut(mirrored, *size), image)


def test_an_image_too_small_for_mirroring_is_extended_all_the_same() -> None:
    assert mirror_to_multiple(torch.rand(1, 1, 2, 3), 8).shape == (1, 1, 8, 8)


def test_beyond_the_border_lie_its_pixels_or_the_mirrored_image() -> None:
    image = torch.rand(1, 1, 12, 16, dtype=torch.float64)
    for border, mode in (("replicate", "edge"), ("mirror", "symmetric")):
        padded = torch.from_numpy(np.pad(image[0, 0].numpy(), 8, mode=mode))[None, None]
        expected = downscale(padded, 2, clip8=False)[..., 4:-4, 4:-4]
        got = downscale(image, 2, clip8=False, border=border)
        torch.testing.assert_close(got, expected)
    both = [downscale(image, 2, clip8=False, border=border) for border in ("replicate", "mirror")]
    assert torch.equal(both[0][..., 1:-1, 1:-1], both[1][..., 1:-1, 1:-1])
    assert not torch.equal(*both)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "scale"), [((11, 7), None), (None, 0.7), ((1, 30), None)])
def test_products_of_matrices_resample_as_torch_does(
    mode: Literal["bilinear", "bicubic"], size: tuple[int, int] | None, scale: float | None
) -> None:
    features = torch.randn(2, 3, 17, 12, generator=torch.Generator().manual_seed(0))
    expected = interpolate(features, mode, size=size, scale=scale)
    found = by_products(features, mode, size, None if scale is None else (scale, scale))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
