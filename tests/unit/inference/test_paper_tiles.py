"""The papers' recursive quarters, against the rule written out and against the sizes in use."""

import pytest
import torch
from torch import Tensor, nn

from src.core.errors import ConfigError
from src.inference.paper_tiles import tile_side
from src.inference.restorer import InferencePolicy, Restorer


class Seen(nn.Module):
    """Returns its input enlarged, remembers the sizes that it saw."""

    multiple_of = min_size = 1
    in_channels = out_channels = 3
    global_context = True

    def __init__(self, scale: int = 1) -> None:
        super().__init__()
        self.scale = scale
        self.sizes: list[tuple[int, int]] = []

    def forward(self, degraded: Tensor) -> Tensor:
        height, width = degraded.shape[-2:]
        self.sizes.append((height, width))
        return degraded.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


class Centred(Seen):
    """Adds to each pixel its distance to the tile's border, so that every seam shows."""

    def forward(self, degraded: Tensor) -> Tensor:
        height, width = degraded.shape[-2:]
        rows, columns = torch.arange(height), torch.arange(width)
        return degraded + rows[:, None] * 1000 + columns


def policy(pixels: int = 6400, rule: str = "panet") -> InferencePolicy:
    return InferencePolicy(tiling="paper", paper_pixels=pixels, paper_rule=rule)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("side", "pixels", "tile"),
    [(500, 6800, 80), (500, 6400, 50), (512, 6400, 50), (30, 6400, 25)],
    ids=["500 denoised", "500 demosaiced", "512", "tiny images are split as well"],
)
def test_tiles_have_the_sizes_that_the_papers_thresholds_lead_to(
    side: int, pixels: int, tile: int
) -> None:
    net = Seen()
    Restorer(net, policy(pixels))(torch.zeros(1, 3, side, side))
    assert {max(size) for size in net.sizes} <= {tile, tile + 1}
    assert (tile, tile) in net.sizes


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("rule", ["panet", "csnln"])
@pytest.mark.parametrize("size", [(1, 1), (5, 300), (97, 131), (160, 90)])
def test_every_pixel_comes_back_in_its_place(size: tuple[int, int], rule: str, scale: int) -> None:
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    restored = Restorer(Seen(scale), policy(3600, rule))(image)
    assert torch.equal(restored, Seen(scale)(image))


def test_seams_are_hard_and_lie_where_the_halves_meet() -> None:
    restored = Restorer(Centred(), policy())(torch.zeros(1, 3, 61, 81))[0, 0]
    tall, wide = 30 + 10, 40 + 10
    rows = torch.cat([torch.arange(30), torch.arange(tall - 31, tall)])
    columns = torch.cat([torch.arange(40), torch.arange(wide - 41, wide)])
    assert torch.equal(restored, (rows[:, None] * 1000 + columns).float())


@pytest.mark.parametrize(
    ("size", "scale", "rule", "side"),
    [
        (101, 1, "csnln", 60),
        (101, 2, "panet", 60),
        (101, 2, "csnln", 62),
        (102, 3, "panet", 62),
        (102, 3, "csnln", 63),
    ],
)
def test_tiles_suit_the_scale_as_each_paper_made_them(
    size: int, scale: int, rule: str, side: int
) -> None:
    assert tile_side(size, scale, rule) == side  # type: ignore[arg-type]


def test_a_threshold_that_no_tile_can_reach_is_refused() -> None:
    with pytest.raises(ConfigError, match="paper_pixels=500 is not possible"):
        policy(500)
