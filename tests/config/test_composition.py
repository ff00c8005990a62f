"""Every file of conf/ composes, names things that exist, and loses to what stands above it."""

import itertools
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from src.app.config.check import Request
from src.app.config.options import (
    INTERNAL,
    all_groups,
    options_of,
    read_primary,
    register_resolvers,
)
from src.core.errors import ConfigError
from src.core.paths import CONF_DIR
from tests.support.combinations import WITHOUT_ATTENTION
from tests.support.compose import check, compose_config
from tests.support.pairwise import every_pair

# dataset is the group of `prepare`: test_image_sets.py
GROUPS = [group for group in all_groups() if group != "dataset"]
OPTIONS = [
    # of a search every job is composed
    pytest.param(group, option, marks=pytest.mark.long if group == "hparams_search" else ())
    for group in GROUPS
    for option in options_of(group)
]

BLOCKS = options_of("model/attention")
MODELS = [model for model in options_of("model") if model not in WITHOUT_ATTENTION]


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_can_be_built(group: str, option: str) -> None:
    register_resolvers(claim=False)
    sweep = group == "hparams_search"
    check(Request("train", (f"{group}={option}",), multirun=sweep))


@pytest.mark.parametrize(
    ("model", "attention"),
    # test_contracts composes and builds every pair
    [pair for pair in every_pair([*itertools.product(MODELS, BLOCKS)]) if not pair.marks],
)
def test_each_attention_block_and_each_model_is_accepted(model: str, attention: str) -> None:
    register_resolvers(claim=False)
    check(Request("train", (f"model={model}", f"model/attention={attention}")))


@pytest.mark.long
@pytest.mark.parametrize("group", ["data", "degradation", "protocol", "metrics"])
def test_every_option_can_be_laid_over_a_checkpoint(group: str) -> None:
    register_resolvers(claim=False)
    for option in options_of(group):
        check(Request("evaluate", ("checkpoint=some/run", f"{group}={option}")))


def test_the_groups_that_the_project_promises_are_there() -> None:
    promised = (
        "task model model/attention data degradation protocol metrics loss optimizer scheduler "
        "trainer callbacks logger paths hydra debug hparams_search experiment local"
    )
    assert set(promised.split()) <= {*all_groups(), *INTERNAL}
    assert set(read_primary("train").groups) <= {*all_groups(), *INTERNAL}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A copy of conf/ with a recipe, and with settings of this machine."""
    folder = tmp_path / "conf"
    shutil.copytree(CONF_DIR, folder)
    (folder / "local/default.yaml").unlink(missing_ok=True)
    (folder / "experiment").mkdir(exist_ok=True)
    (folder / "experiment/recipe.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /model: panet_tiny\n  - override /degradation: gaussian\n"
        "data: {batch_size: 3, workers: 3}\nseed: 3\n"
    )
    (folder / "task/other.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /model: panet\n  - override /optimizer: adamw\n"
        "io: {in_channels: 3, out_channels: 3, scale: 1}\n"
        "task: {_target_: src.training.tasks.restoration.Denoise}\n"
        "data: {batch_size: 2, workers: 2, patch_size: 2}\nseed: 2\n"
    )
    return folder


def _machine(conf: Path) -> None:
    (conf / "local/default.yaml").write_text("# @package _global_\ndata: {workers: 4}\nseed: 4\n")


def test_task_beats_root(conf: Path) -> None:
    cfg = compose_config("task=other", conf_dir=conf)
    assert (cfg.seed, cfg.data.batch_size, cfg.model.blocks) == (2, 2, 80)
    assert cfg.optimizer._target_ == "torch.optim.AdamW"


def test_experiment_beats_task(conf: Path) -> None:
    cfg = compose_config("task=other", "experiment=recipe", conf_dir=conf)
    assert (cfg.seed, cfg.data.batch_size, cfg.model.unshuffle) == (3, 3, 2)
    assert cfg.data.patch_size == 2  # what the recipe leaves open is the task's


def test_machine_beats_experiment(conf: Path) -> None:
    _machine(conf)
    cfg = compose_config("task=other", "experiment=recipe", conf_dir=conf)
    assert (cfg.seed, cfg.data.workers, cfg.data.batch_size) == (4, 4, 3)


def test_command_line_beats_machine_and_choices_of_the_recipe(conf: Path) -> None:
    _machine(conf)
    words = ("task=other", "experiment=recipe", "seed=5", "data.workers=5", "model=panet_small")
    cfg = compose_config(*words, conf_dir=conf)
    assert (cfg.seed, cfg.data.workers, cfg.model.blocks) == (5, 5, 16)
    assert cfg.model.unshuffle == 1


def test_a_typo_inside_a_recipe_is_refused_too(conf: Path) -> None:
    file = conf / "experiment/recipe.yaml"
    file.write_text(file.read_text() + "optimiser: {lr: 1}\n")
    register_resolvers(claim=False)
    with pytest.raises(ConfigError, match=r"'optimiser'. Did you mean optimizer"):
        check(Request("train", ("experiment=recipe",), config_dir=str(conf)))


@pytest.mark.long
def test_options_come_from_another_folder_too(tmp_path: Path) -> None:
    loss = tmp_path / "loss/huber.yaml"
    loss.parent.mkdir()
    loss.write_text("# Huber's loss.\n_target_: torch.nn.HuberLoss\ndelta: 0.5\n")
    register_resolvers(claim=False)
    words = ("loss=huber", f"hydra.searchpath=['file://{tmp_path}']")
    check(Request("train", words))
    assert compose_config(*words).loss.delta == 0.5


def test_no_yaml_file_turns_on_and_off_into_truth_values() -> None:
    # YAML 1.1 reads a bare `on` as true, while the command line reads it as a word
    for file in CONF_DIR.rglob("*.yaml"):
        for line in file.read_text().splitlines():
            value = line.partition(": ")[2].partition("#")[0].strip()
            assert value not in {"on", "off", "yes", "no"}, f"{file}: {line}"


def test_hydra_keeps_no_folder_of_its_own() -> None:
    for name in ("default", "quiet"):
        settings = OmegaConf.load(CONF_DIR / f"hydra/{name}.yaml")
        assert settings.output_subdir is None
        assert settings.job.chdir is False
