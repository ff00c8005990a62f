import numpy as np
import pytest
import torch

from src.app.build import make
from src.metrics.protocol import Protocol, quantize8
from src.metrics.psnr import psnr
from src.ops.color import luma
from tests.support.compose import compose_config


def test_quantising_rounds_and_clips_as_a_png_does() -> None:
    image = torch.tensor([-0.1, 0.4 / 255, 0.6 / 255, 200.4 / 255, 1.2], dtype=torch.float64)
    levels = quantize8(image) * 255
    assert torch.equal(levels.round(), torch.tensor([0.0, 0, 1, 200, 255], dtype=torch.float64))


def test_without_quantising_values_stay() -> None:
    image = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Protocol("p", quantize=False).prepare(image), image.double())


def test_sidds_outputs_are_clipped_and_not_rounded() -> None:
    protocol = make(compose_config("task=denoise", "protocol=sidd_rgb").protocol)
    image = torch.tensor([-0.1, 0.3456789, 1.1]).view(1, 1, 1, 3)
    prepared = protocol.prepare(image)
    assert prepared.flatten().tolist() == [0.0, float(image[..., 1]), 1.0]


def test_the_border_is_cut_on_all_four_sides() -> None:
    image = torch.zeros(1, 1, 9, 11)
    image[..., 2:-2, 2:-2] = 1
    prepared = Protocol("p", border=2).prepare(image)
    assert prepared.shape == (1, 1, 5, 7)
    assert (prepared == 1).all()


@pytest.mark.parametrize(
    ("rgb", "level"),
    [  # MATLAB: rgb2ycbcr(im2double([r g b])) * 255, its documented range and primaries
        ((0, 0, 0), 16.0),
        ((1, 1, 1), 235.0),
        ((1, 0, 0), 81.481),
        ((0, 1, 0), 144.553),
        ((0, 0, 1), 40.966),
    ],
)
def test_luma_has_matlabs_constants(rgb: tuple[int, int, int], level: float) -> None:
    image = torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1)
    luma = Protocol("p", quantize=False, channels="y").prepare(image)
    assert luma.shape == (1, 1, 1, 1)
    assert float(luma) * 255 == pytest.approx(level, abs=1e-9)


def test_luma_is_not_rounded() -> None:
    image = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    luma = Protocol("p", channels="y").prepare(image) * 255
    assert not np.allclose(luma, luma.round())


def test_grey_images_are_scored_as_they_are() -> None:
    image = torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    protocol = Protocol("p", quantize=False, channels="y")
    assert torch.equal(protocol.prepare(image), image.double())


def test_only_y_or_grey_leaves_files_of_one_channel_as_they_are() -> None:
    level = torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    image, grey = level.expand(1, 3, 4, 5), torch.tensor([True])
    squeezed = (16 + 219 * level) / 255
    for channels, files, expected in (
        ("y", grey, squeezed),
        ("y_or_grey", grey, level),
        ("y_or_grey", ~grey, squeezed),
        ("y_or_grey", None, squeezed),
    ):
        protocol = Protocol("p", quantize=False, channels=channels)
        assert torch.allclose(protocol.prepare(image, files), expected)


def test_a_protocol_spells_itself_out() -> None:
    text = str(Protocol("sr", border=2, channels="y"))
    assert text == "sr v1: 8-bit input, output rounded to 8 bits, border 2 px, Y, mean over images"
    assert Protocol("sr", border=2).as_dict()["border"] == 2


def test_a_target_is_cut_or_resampled_to_a_multiple_of_the_scale() -> None:
    image = torch.rand(1, 3, 11, 14, generator=torch.Generator().manual_seed(0))
    cut, resampled = (Protocol("p", multiple=way).fit(image, 3) for way in ("cut", "resample"))
    assert torch.equal(cut, image[..., :9, :12])
    assert resampled.shape == cut.shape
    assert not torch.allclose(resampled, cut, atol=0.1)


def test_the_slip_of_red_is_a_level_of_256_and_the_rest_matlabs() -> None:
    image = torch.eye(3, dtype=torch.float64).view(3, 3, 1, 1)  # red, green, blue
    luma, slip = (Protocol("p", luma=name).luma_of(image) for name in ("bt601", "bt601_slip"))
    assert (luma - slip).flatten().tolist() == pytest.approx([1 / 256, 0, 0], abs=2e-5)
    assert torch.equal(Protocol("p").luma_of(image[:, :1]), image[:, :1])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_super_resolution_is_scored_on_luma_inside_a_border_of_the_scale(scale: int) -> None:
    protocol = make(compose_config("task=super_resolution", f"task.scale={scale}").protocol)
    image = torch.randint(0, 256, (1, 3, 24, 30)).double() / 255
    inner = image[..., scale:-scale, scale:-scale]
    assert torch.allclose(protocol.prepare(image), luma(inner), atol=1e-12)


@pytest.mark.parametrize(
    ("task", "channels"), [("demosaic", 3), ("dejpeg", 1), ("dejpeg_colour", 3)]
)
def test_the_others_score_every_pixel_of_every_channel(task: str, channels: int) -> None:
    protocol = make(compose_config(f"task={task}").protocol)
    image = torch.randint(0, 256, (1, channels, 24, 30)).double() / 255
    assert torch.allclose(protocol.prepare(image), image, atol=1e-12)


@pytest.mark.long
def test_only_the_float_protocol_says_that_inputs_are_not_rounded() -> None:
    for task, rounded in (("super_resolution", True), ("super_resolution_y", False)):
        cfg = compose_config(f"task={task}")
        assert cfg.protocol.input_8bit is rounded
        assert cfg.degradation.clip8 is rounded


@pytest.mark.parametrize("scale", [2, 4])
def test_ntire_scores_all_channels_but_a_border_of_six_and_the_scale(scale: int) -> None:
    config = compose_config("task=super_resolution", f"task.scale={scale}", "protocol=ntire_rgb")
    protocol = make(config.protocol)
    restored, target = (torch.rand(1, 3, 40, 48, dtype=torch.float64) for _ in range(2))
    kept = slice(6 + scale, -6 - scale)
    levels = [(image.numpy() * 255).round()[..., kept, kept] for image in (restored, target)]
    error = (levels[0] - levels[1]) / 255
    theirs = 10 * np.log10(error.size / np.square(error).sum())  # as NTIRE_PeakSNR_imgs.m
    ours = psnr(protocol.prepare(restored), protocol.prepare(target))
    assert float(ours) == pytest.approx(theirs)
