"""How whole images go through a network: as trained, unless something else was given."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from src.app.config.options import read_primary
from src.app.inference import merge_inference
from src.inference.policy import InferencePolicy
from src.weights.checkpoint import Checkpoint
from tests.support.compose import compose_config

TRAINED = {
    "tile": 96,
    "overlap": 8,
    "ensemble": True,
    "tiling": "paper",
    "paper_pixels": 3600,
    "paper_rule": "csnln",
    "window": 33,
}


def test_training_lists_the_defaults_of_the_policy() -> None:
    assert read_primary("train").values["inference"] == InferencePolicy().as_dict()


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_every_setting_is_as_trained_unless_another_is_given(command: str) -> None:
    needed = ("checkpoint=x", "input=x", "output=x")
    words = needed if command == "predict" else needed[:1]
    checkpoint = Checkpoint(
        Path("x.ckpt"), OmegaConf.create({"inference": TRAINED}), step=1, origin={}, weights={}
    )
    cfg = compose_config(*words, config_name=command)
    assert merge_inference(checkpoint, cfg.inference) == TRAINED
    cfg = compose_config(*words, "inference.ensemble=false", config_name=command)
    assert merge_inference(checkpoint, cfg.inference) == {**TRAINED, "ensemble": False}
    assert merge_inference(None, cfg.inference) == InferencePolicy().as_dict()
