"""Every task with every model and every attention block: built and trained, or refused with why."""

import itertools
import math
import random
from collections.abc import Iterator

import pytest
import torch
from omegaconf import OmegaConf

from src.app.config.check import Request
from src.app.config.options import register_resolvers
from src.core.errors import ConfigError
from src.models.attention import ATTENTION
from src.models.backbones import BACKBONES
from tests.support.combinations import (
    ATTENTIONS,
    MODELS,
    ROWS,
    TASKS,
    WITHOUT_ATTENTION,
    built,
    composed,
    model_node,
    shrunk,
    step,
    words_of,
)
from tests.support.compose import check, compose_config
from tests.support.pairwise import Row, pairs_of, pairwise


def _is_refused(row: Row) -> bool:
    """CSNLN enlarges, and there is nothing else that a combination can be wrong in."""
    return row[1].startswith("csnln") and not row[0].startswith("super_resolution")


ONE_CHANNEL = ("dejpeg", "denoise_grey", "super_resolution_y", "super_resolution_luma")
POSSIBLE = [row for row in ROWS if not _is_refused(row)]


@pytest.fixture(autouse=True)
def fixed_weights() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def _train(row: Row) -> None:
    cfg = composed(row)
    task = built(shrunk(cfg))
    before = [parameter.detach().clone() for parameter in task.net.parameters()]
    net = task.restorer.net
    unit = math.lcm(net.multiple_of * net.scale, task.scale)
    side = -(-24 // unit) * unit
    (loss,) = step(task, torch.rand(1, int(cfg.data.channels), side, side))
    assert loss > 0, row
    after = list(task.net.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in after), row
    assert any(not torch.equal(a, b) for a, b in zip(after, before, strict=True)), row


def test_the_matrix_holds_all_that_is_registered() -> None:
    assert set(ATTENTION) == set(ATTENTIONS)
    assert set(BACKBONES) <= {*MODELS, *WITHOUT_ATTENTION}
    assert {f"super_resolution_x{scale}" for scale in (2, 3, 4)} <= set(TASKS)


@pytest.mark.long
def test_joined_nodes_are_what_hydra_composes() -> None:
    for row in random.Random(0).sample(ROWS, 5):  # noqa: S311
        theirs = compose_config(*words_of(row))
        ours = composed(row)
        for group in ("model", "task", "degradation", "protocol", "io", "data"):
            assert OmegaConf.to_container(ours[group], resolve=True) == OmegaConf.to_container(
                theirs[group], resolve=True
            ), (row, group)


@pytest.mark.long
def test_every_task_and_model_composes_with_the_block_that_was_asked_for() -> None:
    blocks = itertools.cycle(ATTENTIONS)  # each in its turn: a block's node refers to no other
    for task, name in itertools.product(TASKS, MODELS):
        row = (task, name, next(blocks))
        model = model_node(row)
        block = ATTENTION[row[2]].cls
        assert model["attention"]["_target_"] == f"{block.__module__}.{block.__qualname__}", row
        told_level = row[0].startswith("denoise") and row[1] == "ffdnet"  # in a channel of its own
        expected = (1 if row[0].startswith(ONE_CHANNEL) else 3) + told_level
        assert model["in_channels"] == expected or row[0] == "dejpeg_colour", row


@pytest.mark.long
def test_a_network_that_only_enlarges_is_refused_by_the_other_tasks_with_the_reason() -> None:
    with torch.device("meta"):
        for task, model in {row[:2] for row in ROWS if _is_refused(row)}:
            with pytest.raises(ConfigError, match=r"scale.*2, 3 or 4|2, 3 (or|and) 4.*not 1"):
                built(shrunk(composed((task, model, "none"))))


@pytest.mark.long
def test_a_step_is_taken_on_a_set_that_holds_every_pair() -> None:
    rows = pairwise(POSSIBLE)
    wanted = set().union(*(pairs_of(row) for row in POSSIBLE))
    assert set().union(*(pairs_of(row) for row in rows)) == wanted
    assert len(rows) < 1.2 * len(MODELS) * len(ATTENTIONS)
    for row in rows:
        _train(row)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_step_is_taken_on_every_combination() -> None:
    for row in POSSIBLE:
        _train(row)


@pytest.mark.parametrize("model", sorted(WITHOUT_ATTENTION))
def test_a_model_without_attention_refuses_a_block(model: str) -> None:
    register_resolvers(claim=False)
    words = ("task=super_resolution", f"model={model}", "model/attention=pyramid")
    with pytest.raises(ConfigError, match=f"model={model} has no attention to choose"):
        check(Request("train", words))
