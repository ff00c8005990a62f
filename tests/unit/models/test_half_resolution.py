"""The zoo's network: its size, what it adds to its input, and what its trunks share."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.models.backbones.half_resolution import HalfResolution

SCALES = [1, 2, 3, 4]


def silent(scale: int, channels: int = 3) -> HalfResolution:
    """Return a small network whose last layer is zero."""
    net = HalfResolution(channels, channels, scale, channels=8, blocks=2)
    nn.init.zeros_(net.tail.weight)
    assert net.tail.bias is not None
    nn.init.zeros_(net.tail.bias)
    return net.eval()


@pytest.mark.parametrize(
    ("scale", "count"), [(1, 641_676), (2, 636_492), (3, 645_147), (4, 657_264)]
)
def test_the_default_has_the_stated_number_of_parameters(scale: int, count: int) -> None:
    with torch.device("meta"):
        net = HalfResolution(scale=scale)
    assert sum(weights.numel() for weights in net.parameters()) == count


@pytest.mark.parametrize("channels", [1, 3])
def test_a_zero_last_layer_returns_the_very_input(channels: int) -> None:
    image = torch.rand(2, channels, 6, 10)
    assert torch.equal(silent(1, channels)(image), image)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", SCALES[1:])
def test_a_zero_last_layer_returns_the_enlarged_image(scale: int, channels: int) -> None:
    image = torch.rand(2, channels, 5, 7)
    expected = F.interpolate(image, size=(5 * scale, 7 * scale), mode="bicubic")
    torch.testing.assert_close(silent(scale, channels)(image), expected)


def test_every_scale_can_begin_with_the_trunk_of_another() -> None:
    shapes = [
        {
            name: tensor.shape
            for name, tensor in HalfResolution(scale=scale).trunk.state_dict().items()
        }
        for scale in SCALES
    ]
    assert all(shape == shapes[0] for shape in shapes)


def test_a_2x2_cell_of_the_input_reaches_the_trunk_as_one_position() -> None:
    seen: list[Tensor] = []
    net = silent(1)
    net.trunk.register_forward_hook(lambda module, args, result: seen.append(args[0]))
    net(torch.rand(1, 3, 8, 12))
    assert seen[0].shape[-2:] == (4, 6)


def test_unequal_image_channels_and_a_scale_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="adds its input to its output"):
        HalfResolution(4, 3)
    with pytest.raises(ValueError, match="scale=0 must be at least 1"):
        HalfResolution(scale=0)
