"""Every task with every model and every attention block, put together quickly.

Hydra needs 0.1 s to compose one configuration and there are thousands; so each task and each
model is composed once, and the nodes are joined as their packages say. A test holds this against
Hydra.
"""

import itertools
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from src.app.build import build_task
from src.app.config.options import options_of
from src.core.errors import ConfigError
from src.core.paths import CONF_DIR
from src.core.types import Clean
from src.training.tasks.base import RestorationTask
from tests.support.compose import compose_config
from tests.support.pairwise import Row

SCALES = (2, 3, 4)
WITHOUT_ATTENTION = {"bicubic", "bm3d", "identity"}  # nothing to train and nowhere to put a block
MODELS = [name for name in options_of("model") if name not in WITHOUT_ATTENTION]
ATTENTIONS = options_of("model/attention")
SMALL = {"channels": 16, "groups": 1, "depth": 2, "refinement_blocks": 1}


def _tasks() -> Mapping[str, tuple[str, ...]]:
    words: dict[str, tuple[str, ...]] = {}
    for name in options_of("task"):
        if name.startswith("super_resolution"):
            words |= {f"{name}_x{s}": (f"task={name}", f"task.scale={s}") for s in SCALES}
        else:
            words[name] = (f"task={name}",)
    return words


TASKS = _tasks()
ROWS: list[Row] = list(itertools.product(TASKS, MODELS, ATTENTIONS))


def words_of(row: Row) -> tuple[str, ...]:
    """Return what one types for a row."""
    task, model, attention = row
    return (*TASKS[task], f"model={model}", f"model/attention={attention}")


@cache
def _task(name: str) -> DictConfig:
    return compose_config(*TASKS[name], "model=identity")


@cache
def _model(name: str) -> dict[str, Any]:
    node = OmegaConf.to_container(compose_config(f"model={name}").model, resolve=False)
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items()}


@cache
def _attention(name: str) -> Any:  # noqa: ANN401
    return OmegaConf.to_container(OmegaConf.load(CONF_DIR / f"model/attention/{name}.yaml"))


def composed(row: Row) -> DictConfig:
    """Return the configuration of a row."""
    task, model, attention = row
    cfg = _task(task).copy()
    cfg.model = {**_model(model), "attention": _attention(attention)}
    return cfg


@cache
def _around(task: str) -> DictConfig:
    """Return what a model's node refers to; a copy of the whole would take most of the time."""
    return OmegaConf.masked_copy(_task(task), ["io", "task", "protocol", "degradation"])


def model_node(row: Row) -> dict[str, Any]:
    """Return the model of a row, resolved."""
    task, model, attention = row
    cfg = _around(task).copy()
    cfg.model = {**_model(model), "attention": _attention(attention)}
    node = OmegaConf.to_container(cfg.model, resolve=True)
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items()}


def shrunk(cfg: DictConfig) -> DictConfig:
    """Return ``cfg`` with a network as small as its class allows."""
    for key, small in SMALL.items():
        if key in cfg.model:
            cfg.model[key] = small
    blocks = cfg.model.get("blocks")
    if blocks is not None:
        cfg.model.blocks = 2 if isinstance(blocks, int) else [1] * len(blocks)
    for key in ("decoder_blocks", "middle_blocks"):
        if key in cfg.model:
            cfg.model[key] = 1 if key == "middle_blocks" else [1] * len(cfg.model[key])
    return cfg


def built(cfg: DictConfig) -> RestorationTask:
    """Build the task.

    Raises:
        ConfigError: As the command line would show it, if the combination is refused.
    """
    try:
        return build_task(cfg)
    except InstantiationException as error:
        if isinstance(error.__cause__, ValueError | ConfigError):
            raise ConfigError(str(error.__cause__)) from error
        raise


def step(
    task: RestorationTask, target: torch.Tensor, *, lr: float = 1e-3, steps: int = 1
) -> list[float]:
    """Take optimizer steps on one batch, as Lightning would; return the loss before each."""
    task.train()
    place = iter(range(steps))
    task._first_sample = lambda count: 0  # type: ignore[method-assign]
    task.log = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer = torch.optim.Adam([p for p in task.net.parameters() if p.requires_grad], lr=lr)
    losses = []
    for index in place:
        optimizer.zero_grad()
        loss = task.training_step(
            Clean(target=target, key=[str(i) for i in range(len(target))]), index
        )
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
