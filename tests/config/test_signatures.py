"""YAML repeats the Python defaults, and what it says arrives as plain Python values."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from src.app.config.validate import SPECIAL, parameters_of
from src.core.paths import CONF_DIR
from src.core.registry import locate
from tests.support.compose import compose_config

VARIANTS = {
    *("model/panet_small", "model/panet_tiny"),
    *("protocol/denoise_rgb_float", "protocol/denoise_grey", "protocol/dejpeg_y"),
    *("protocol/sr_y", "protocol/sr_y_float", "protocol/sr_y_grey"),
    *("protocol/sr_y_unrounded", "protocol/sr_y_pillow", "protocol/ntire_rgb"),
    *("protocol/sidd_rgb", "degradation/bsrgan", "degradation/real_esrgan"),
}
"""Files that differ from the defaults of their class, on purpose; their comment says how."""


NODES = sorted(
    file.relative_to(CONF_DIR).with_suffix("").as_posix()
    for file in CONF_DIR.rglob("*.yaml")
    if re.search(r"^_target_: src\.", file.read_text(encoding="utf-8"), re.MULTILINE)
)
"""The files of conf/ that describe one of our own components, by group/name."""


def _node(name: str) -> dict[str, Any]:
    held = OmegaConf.to_container(OmegaConf.load(CONF_DIR / f"{name}.yaml"), resolve=False)
    assert isinstance(held, dict)
    return {str(key): value for key, value in held.items()}


def _tuples_as_lists(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", sorted({*NODES} - VARIANTS))
def test_yaml_repeats_the_defaults_of_the_signature(name: str) -> None:
    node = _node(name)
    parameters = parameters_of(locate(node["_target_"]))
    for key, value in node.items():
        is_literal = not isinstance(value, dict) and not str(value).startswith(("${", "???"))
        if key in SPECIAL or key == "defaults" or not is_literal:
            continue
        default = parameters[key].default
        if default is not inspect.Parameter.empty:
            assert value == _tuples_as_lists(default), f"{name}.{key}"


def test_the_defaults_test_sees_the_components_that_it_is_about() -> None:
    assert {"model/panet", "model/attention/pyramid", "degradation/gaussian"} <= {*NODES}
    assert all((CONF_DIR / f"{name}.yaml").is_file() for name in VARIANTS)


def test_a_list_arrives_as_a_plain_list() -> None:
    optimizer = instantiate(compose_config("optimizer=adam").optimizer, _convert_="all")
    assert type(optimizer.keywords["betas"]) is list
    assert optimizer.keywords["betas"] == [0.9, 0.999]


def test_a_mapping_of_nodes_arrives_as_a_plain_dict_of_callables() -> None:
    metrics = instantiate(compose_config().metrics, _convert_="all")
    assert type(metrics) is dict
    assert all(callable(metric) for metric in metrics.values())


def test_a_partial_waits_for_what_the_caller_gives() -> None:
    attention = instantiate(compose_config("model/attention=none").model.attention)
    assert attention(7).channels == 7


def test_a_tuple_and_a_path_survive(tmp_path: Path) -> None:
    node = OmegaConf.create(
        {"_target_": "builtins.dict", "size": "${tuple:}", "where": str(tmp_path), "many": [[1], 2]}
    )
    OmegaConf.register_new_resolver("tuple", lambda: (3, 4), replace=True)
    made = instantiate(node, _convert_="all")
    assert tuple(made["size"]) == (3, 4)
    assert type(made["many"][0]) is list
    assert made["where"] == str(tmp_path)
