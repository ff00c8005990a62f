"""CSNLN, whose scores are scaled by ten before the softmax, trains in bf16."""

import math
from statistics import mean

import pytest
import torch

from src.data.datasets.sample_photos import SamplePhotos
from tests.support.combinations import built, step
from tests.support.compose import compose_config


def _photos(side: int) -> torch.Tensor:
    patches = []
    for item in list(SamplePhotos("train").items().values())[:4]:
        image = torch.tensor(item.load(channels=3)).permute(2, 0, 1).float() / 255
        height, width = (int(size) // 2 for size in image.shape[-2:])
        patches.append(image[:, height : height + side, width : width + side])
    return torch.stack(patches)


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "depth", "side"), [(16, 3, 48), (128, 2, 24)])
def test_csnln_trains_200_steps_under_bf16_without_nan(
    channels: int, depth: int, side: int
) -> None:
    size = (f"model.channels={channels}", f"model.depth={depth}")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        task = built(compose_config("task=super_resolution", "model=csnln", *size))
        # One context around all steps would keep the first step's bf16 copies of the weights.
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            losses = step(task, _photos(side), lr=1e-4, steps=200)
    assert all(math.isfinite(loss) for loss in losses)
    assert all(torch.isfinite(parameter).all() for parameter in task.net.parameters())
    assert mean(losses[-10:]) < mean(losses[:10])
