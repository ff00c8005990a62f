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
    task = _task("degradation.sigma=[51,51]")
    task.setup("fit")
    pair = task.degrade(BATCH)
    seen = task.net_input(pair)
    assert torch.equal(seen[:, :3], pair["input"])
    assert torch.equal(seen[:, 3:], torch.full((2, 1, 6, 8), 0.2))
    assert task.restorer(seen).shape == BATCH["target"].shape


@pytest.mark.long
def test_the_level_as_map_is_the_level_as_setting() -> None:
    torch_state = _task("degradation.sigma=[30,30]")
    fixed = _task("model.in_channels=3", "model.sigma=30", "degradation.sigma=[30,30]")
    fixed.net.load_state_dict(torch_state.net.state_dict())
    pair = torch_state.degrade(BATCH)
    restored = torch_state.restorer(torch_state.net_input(pair))
    torch.testing.assert_close(restored, fixed.restorer(fixed.net_input(pair)))


@pytest.mark.parametrize("kind", ["gaussian", "gaussian_either"])
@pytest.mark.parametrize("training", [True, False])
def test_each_image_comes_with_the_level_drawn_for_it(kind: str, *, training: bool) -> None:
    words = ("degradation.sigma=[0,100]", "degradation.clip8=false")
    task = _task(f"degradation={kind}", *words).train(training)
    task._first_sample = lambda count: 7  # type: ignore[method-assign]
    batch = Clean(target=torch.full((3, 3, 64, 64), 0.5), key=["a", "b", "c"])
    pair = task.degrade(batch)
    told = task.net_input(pair)[:, 3:]
    actual = (pair["input"] - batch["target"]).std(dim=(1, 2, 3))
    assert len(set(told.mean(dim=(1, 2, 3)).tolist())) == 3
    torch.testing.assert_close(told.amax(dim=(1, 2, 3)), told.amin(dim=(1, 2, 3)))
    torch.testing.assert_close(told.mean(dim=(1, 2, 3)), actual, rtol=0.1, atol=0.01)


def test_a_shared_pattern_comes_with_its_level() -> None:
    task = _task("degradation=gaussian_seed0", "degradation.sigma=[51,51]")
    seen = task.net_input(task.degrade(BATCH))
    torch.testing.assert_close(seen[:, 3:], torch.full((2, 1, 6, 8), 0.2))


def test_a_network_that_is_told_refuses_a_degradation_without_a_level() -> None:
    task = _task("model.in_channels=4", "degradation=identity")
    with pytest.raises(ConfigError, match=r"FFDNet with in_channels=4 is told the noise level"):
        task.setup("fit")


@pytest.mark.parametrize("words", [("task=dejpeg",), ("io.in_channels=4",), ("task=demosaic",)])
def test_the_model_as_it_stands_takes_a_map_where_there_is_noise(words: tuple[str, ...]) -> None:
    cfg = compose_config("model=ffdnet", *words)
    assert cfg.model.in_channels - cfg.model.out_channels == int("sigma" in cfg.degradation)


def test_blind_training_of_a_network_that_is_not_told_is_fine() -> None:
    task = _task("model.in_channels=3", "degradation.sigma=[0,55]")
    task.setup("fit")
    assert task.net_input(task.degrade(BATCH)).shape == (2, 3, 6, 8)
