"""Networks and attention blocks under contract: those of conf/, or those of a folder outside.

``make contract PATH=<folder>`` names the folder in ``EXEMPLAR_PARTS``; it is laid out like conf/.
"""

import os
from pathlib import Path

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from src.app.config.options import options_of
from src.app.config.typed import with_folders
from src.core.paths import CONF_DIR
from src.models.attention import ATTENTION
from tests.support.combinations import shrunk
from tests.support.compose import compose_config

CHANNELS = 32
_NAMED = os.environ.get("EXEMPLAR_PARTS")
OUTSIDE = None if _NAMED is None else Path(_NAMED).absolute()
SEARCH_PATH = [] if OUTSIDE is None else with_folders([], [str(OUTSIDE)])


def _outside(group: str) -> list[str]:
    return [] if OUTSIDE is None else options_of(group, OUTSIDE)


def file_of(group: str, option: str) -> Path:
    """Return the file of an option, in conf/ or outside."""
    folder = OUTSIDE if OUTSIDE is not None and option in _outside(group) else CONF_DIR
    return folder / group / f"{option}.yaml"


def models() -> list[str]:
    """Return the options of ``model`` that are under contract."""
    return options_of("model") if OUTSIDE is None else _outside("model")


def attentions() -> list[str]:
    """Return the options of ``model/attention`` that are under contract."""
    return list(ATTENTION) if OUTSIDE is None else _outside("model/attention")


def pairs() -> list[tuple[str, str]]:
    """Return models and attention blocks that go together, at least one of each under contract."""
    every = [*options_of("model"), *_outside("model")]
    blocks = {*ATTENTION, *attentions()}
    own = {*models()}, {*attentions()}
    return [
        (model, block)
        for model in filter(has_attention, every)
        for block in sorted(blocks)
        if model in own[0] or block in own[1]
    ]


def has_attention(option: str) -> bool:
    """Say whether a model's file, or the one that it builds on, chooses an attention block."""
    defaults = OmegaConf.load(file_of("model", option)).get("defaults", [])
    return any(
        "attention" in entry if isinstance(entry, DictConfig) else has_attention(entry)
        for entry in defaults
        if entry != "_self_"
    )


def attention(name: str) -> nn.Module:
    """Build an attention block for ``CHANNELS`` features."""
    block: nn.Module = instantiate(OmegaConf.load(file_of("model/attention", name)))(CHANNELS)
    return block


def small_net(option: str, *overrides: str) -> nn.Module:
    """Build the model of an option at the first scale that it takes, small where its YAML says how.

    A model may refuse a scale, but must name it as the reason.
    """
    for scale in (1, 2):
        words = (*SEARCH_PATH, f"model={option}", f"io.scale={scale}", *overrides)
        try:
            net: nn.Module = instantiate(shrunk(compose_config(*words)).model, _convert_="all")
        except InstantiationException as refusal:
            assert f"not {scale}" in str(refusal.__cause__)  # noqa: PT017
        else:
            return net
    raise AssertionError(f"{option} takes neither scale 1 nor scale 2")


def image_for(net: nn.Module, *, sides: tuple[int, int]) -> torch.Tensor:
    """Return one image that ``net`` accepts, ``sides`` times the multiple that it needs."""
    least = -(-net.min_size // net.multiple_of)
    height, width = (max(least, side) * net.multiple_of for side in sides)
    return torch.rand(1, net.in_channels, height, width)
