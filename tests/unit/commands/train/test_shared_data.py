"""What a training refuses before its processes meet."""

from contextlib import suppress

import pytest
from omegaconf import OmegaConf

from src.app.build import plain
from src.app.config.options import options_of
from src.commands.train.settle import check_data
from src.core.errors import ConfigError, DataError
from tests.support.compose import compose_config

TASKS = [f"task={name}" for name in options_of("task")]
RECIPES = [f"experiment={name}" for name in options_of("experiment")]


@pytest.mark.parametrize("words", [*TASKS, *RECIPES, "task=super_resolution task.scale=3"])
def test_a_batch_of_every_task_and_recipe_is_shared_or_refused(words: str) -> None:
    cfg = compose_config(*words.split(), "data.batch_size=6", "trainer.devices=2")
    OmegaConf.resolve(cfg)
    with suppress(DataError):  # images that are not prepared here: asked for later
        check_data(cfg, plain(cfg))
    cfg.trainer.devices = 4
    with pytest.raises(ConfigError, match="batch_size=6"):
        check_data(cfg, plain(cfg))
