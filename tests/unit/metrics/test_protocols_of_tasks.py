"""The protocols of super-resolution, demosaicing and JPEG removal, as conf/ spells them."""

import pytest
import torch

from src.app.build import make
from src.ops.color import luma
from tests.support.compose import compose_config


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


def test_only_the_float_protocol_says_that_inputs_are_not_rounded() -> None:
    for task, rounded in (("super_resolution", True), ("super_resolution_y", False)):
        cfg = compose_config(f"task={task}")
        assert cfg.protocol.input_8bit is rounded
        assert cfg.degradation.clip8 is rounded
