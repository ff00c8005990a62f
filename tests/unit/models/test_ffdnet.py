"""How the noise level reaches FFDNet."""

from collections.abc import Iterator

import pytest
import torch

from src.models.backbones.ffdnet import FFDNet


@pytest.fixture(autouse=True)
def fixed_weights() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_the_noise_map_of_an_ffdnet_input_means_the_same_as_its_constant() -> None:
    constant = FFDNet(channels=8, blocks=2, sigma=30.0)
    mapped = FFDNet(4, 3, channels=8, blocks=2, sigma=0.0)
    mapped.load_state_dict(constant.state_dict())
    image = torch.rand(2, 3, 6, 10)
    level = torch.full((2, 1, 6, 10), 30.0 / 255)
    torch.testing.assert_close(mapped(torch.cat([image, level], dim=1)), constant(image))


def test_a_level_that_varies_over_the_map_varies_the_result_only_near_it() -> None:
    net = FFDNet(2, 1, channels=8, blocks=1).eval()
    image, level = torch.rand(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    raised = level.clone()
    raised[..., :4, :4] = 0.2
    with torch.no_grad():
        change = net(torch.cat([image, raised], 1)) - net(torch.cat([image, level], 1))
    assert change[..., :4, :4].abs().max() > 0
    assert change[..., 12:, 12:].abs().max() == 0


def test_channels_that_cannot_carry_one_noise_map_are_refused() -> None:
    with pytest.raises(ValueError, match="or one more for the noise map, not 5"):
        FFDNet(5, 3)
