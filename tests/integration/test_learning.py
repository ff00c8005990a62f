"""Some steps on one batch lower the loss, for every task and both papers' systems."""

from collections.abc import Iterator
from statistics import mean

import pytest
import torch

from src.data.datasets.sample_photos import SamplePhotos
from tests.support.combinations import TASKS, built, step
from tests.support.compose import compose_config

PANET = ("model=panet_tiny", "model.blocks=4", "model.channels=16")
PA_EDSR = ("model=edsr_tiny", "model/attention=pyramid", "model.blocks=2", "model.channels=16")
CSNLN = ("model=csnln_tiny", "model.depth=2", "model.channels=8")
CASES = [
    *((task, model) for task in TASKS for model in (PANET, PA_EDSR)),
    *((task, CSNLN) for task in TASKS if task.startswith("super_resolution")),
]


@pytest.fixture(autouse=True)
def fixed_weights() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def _photo(channels: int, side: int = 24) -> torch.Tensor:
    pixels = next(iter(SamplePhotos("train").items().values())).load(channels=channels)
    image = torch.tensor(pixels).permute(2, 0, 1).float() / 255
    height, width = (int(size) // 2 for size in image.shape[-2:])
    return torch.stack(
        [image[:, y : y + side, x : x + side] for y, x in ((height, width), (height - side, width))]
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("task", "model"),
    CASES,
    ids=[f"{task}-{model[0].removeprefix('model=')}" for task, model in CASES],
)
def test_twelve_steps_lower_the_loss(task: str, model: tuple[str, ...]) -> None:
    cfg = compose_config(*TASKS[task], *model)
    losses = step(built(cfg), _photo(cfg.data.channels), lr=2e-3, steps=12)
    assert mean(losses[-2:]) < 0.95 * mean(losses[:2]), losses
