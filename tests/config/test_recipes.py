"""The published models' recipes hold the training protocol of the papers and their code."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from src.app.config.check import Request
from src.app.config.options import options_of, register_resolvers
from tests.support.compose import check, compose_config

COMMON = {
    "data.batch_size": 16,
    "optimizer._target_": "torch.optim.Adam",
    "optimizer.lr": 1e-4,
    "optimizer.betas": [0.9, 0.999],
    "optimizer.eps": 1e-8,
    "optimizer.weight_decay": 0,
    "loss._target_": "torch.nn.L1Loss",
    "scheduler.gamma": 0.5,
    "scheduler.warmup_steps": 0,
    "trainer.max_steps": 10**6,
    "trainer.accumulate_grad_batches": 1,
    "trainer.gradient_clip_val": None,
    "trainer.precision": "32-true",
    "data.train.name": "div2k",
    "data.train.first": None,
}
"""What all of the authors' commands share."""

QUARTERS = [200_000, 400_000, 600_000, 800_000]


@dataclass(frozen=True)
class Published:
    """One published model.

    Attributes:
        parameters: Those that the authors' code counts.
        patch: Side of a training patch in the target, pixels.
        images: Of validation.
        milestones: Steps at which the learning rate is halved.
        settings: What else the model is trained with.
    """

    parameters: int
    patch: int
    images: int
    milestones: list[int]
    settings: dict[str, Any]


def _panet(protocol: str, parameters: int, **settings: Any) -> Published:  # noqa: ANN401
    held = {name.replace("__", "."): value for name, value in settings.items()}
    network = {"protocol.name": protocol, "model.channels": 64, "model.blocks": 80}
    return Published(parameters, 48, 5, QUARTERS, network | held)


PUBLISHED = {
    **{
        f"panet/denoise_color_s{s}": _panet(
            "denoise_rgb_clip8", 5_957_279, degradation__sigma=[s, s], degradation__clip8=True
        )
        for s in (10, 30, 50, 70)
    },
    "panet/demosaic": _panet("demosaic_grbg_zero_fill", 5_957_279, degradation__phase="random"),
    **{
        f"panet/dejpeg_q{q}": _panet(
            "dejpeg_y", 5_954_973, degradation__quality=[q, q], data__channels=1
        )
        for q in (10, 20, 30, 40)
    },
    **{
        f"pa_edsr/super_resolution_x{s}": Published(
            count,
            48 * s,
            10,
            QUARTERS,
            {
                "protocol.name": "sr_y",
                "protocol.border": s,
                "degradation.scale": s,
                "model.channels": 256,
                "model.blocks": 32,
                "model.residual_scale": 0.1,
                "model.attention.residual_scale": 0.1,
            },
        )
        for s, count in {2: 40_811_870, 3: 43_762_270, 4: 43_172_190}.items()
    },
    **{
        f"csnln/super_resolution_x{s}": Published(
            count,
            48 * s,
            10,
            [200_000],
            {
                "protocol.name": "sr_y",
                "protocol.border": s,
                "degradation.scale": s,
                "model.channels": 128,
                "model.depth": 12,
            },
        )
        for s, count in {2: 3_061_289, 3: 6_010_409, 4: 6_568_627}.items()
    },
}
NAMES = sorted(PUBLISHED)


def _value(cfg: DictConfig, path: str) -> Any:  # noqa: ANN401
    node: Any = cfg
    for key in path.split("."):
        node = node[key]
    return node


def test_every_published_model_has_a_recipe_and_every_recipe_is_in_this_table() -> None:
    own = {name for name in options_of("experiment") if "/" in name}
    assert {n for n in own if n.split("/")[0] in {"panet", "pa_edsr", "csnln"}} == set(PUBLISHED)


@pytest.mark.parametrize("name", NAMES)
def test_recipe_holds_the_papers_training_protocol(name: str) -> None:
    published, cfg = PUBLISHED[name], compose_config(f"experiment={name}")
    for path, value in (COMMON | published.settings).items():
        assert _value(cfg, path) == value, path
    assert list(cfg.scheduler.milestones) == published.milestones
    patch = cfg.data.patch_size
    assert (patch if isinstance(patch, int) else instantiate(patch)) == published.patch
    assert "ema" not in cfg.callbacks
    (benchmark,) = cfg.data.benchmarks.values()
    assert benchmark.first == published.images


@pytest.mark.parametrize("name", NAMES)
def test_recipe_builds_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        net = instantiate(compose_config(f"experiment={name}").model, _convert_="all")
    assert sum(weights.numel() for weights in net.parameters()) == PUBLISHED[name].parameters


@pytest.mark.long
@pytest.mark.parametrize("name", ["panet/denoise_color_s50", "csnln/super_resolution_x4"])
def test_many_gpus_leave_batch_steps_schedule_and_precision_as_they_are(name: str) -> None:
    register_resolvers(claim=False)
    words = (f"experiment={name}", "trainer=ddp", "trainer.devices=4")
    check(Request("train", words))
    alone, together = compose_config(words[0]), compose_config(*words)
    assert together.trainer.devices == 4
    for path in ("data.batch_size", "trainer.max_steps", "trainer.precision"):
        assert _value(together, path) == _value(alone, path)
    assert together.scheduler == alone.scheduler
