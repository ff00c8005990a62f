"""What a network that takes a noise map is told, and when it cannot be."""

import pytest
import torch

from src.app.build import build_task
from src.core.errors import ConfigError
from src.core.types import Clean
from src.training.tasks.base import RestorationTask
from tests.support.compose import compose_config

TINY = ("task=denoise", "model=ffdnet", "model.channels=8", "model.blocks=2")
BATCH = Clean(target=torch.full((2, 3, 6, 8), 0.5), key=["a", "b"])


def _task(*words: str) -> RestorationTask:
    return build_task(compose_config(*TINY, *words)).eval()


def test_a_network_of_one_channel_more_is_given_sigma_over_255() -> None:
    task = _task("model.in_channels=4", "degradation.sigma=[51,51]")
    task.setup("fit")
    pair = task.degrade(BATCH)
    seen = task.net_input(pair)
    assert torch.equal(seen[:, :3], pair["input"])
    assert torch.equal(seen[:, 3:], torch.full((2, 1, 6, 8), 0.2))
    assert task.restorer(seen).shape == BATCH["target"].shape


def test_the_level_as_map_is_the_level_as_setting() -> None:
    torch_state = _task("model.in_channels=4", "degradation.sigma=[30,30]")
    fixed = _task("model.sigma=30", "degradation.sigma=[30,30]")
    fixed.net.load_state_dict(torch_state.net.state_dict())
    pair = fixed.degrade(BATCH)
    restored = torch_state.restorer(torch_state.net_input(pair))
    torch.testing.assert_close(restored, fixed.restorer(fixed.net_input(pair)))


@pytest.mark.parametrize("words", [["degradation.sigma=[0,55]"], ["degradation=identity"]])
def test_an_unknown_level_is_refused_before_training(words: list[str]) -> None:
    task = _task("model.in_channels=4", *words)
    with pytest.raises(ConfigError, match=r"FFDNet with in_channels=4 is told the noise level"):
        task.setup("fit")


def test_blind_training_of_a_network_that_is_not_told_is_fine() -> None:
    task = _task("degradation.sigma=[0,55]")
    task.setup("fit")
    assert task.net_input(task.degrade(BATCH)).shape == (2, 3, 6, 8)
