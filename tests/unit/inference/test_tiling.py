"""Tiles that blend, the papers' recursive quarters, and the eight turns."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from src.core.errors import ConfigError
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer
from src.inference.tiling import (
    dihedral,
    restore_tiled,
    self_ensemble,
    tile_side,
    tile_starts,
    undo_dihedral,
)


class Local(nn.Module):
    """Sees two pixels far in each direction; doubles the size where asked."""

    multiple_of = min_size = 1
    global_context = False
    in_channels = out_channels = 3

    def __init__(self, scale: int = 1) -> None:
        super().__init__()
        self.scale = scale
        self.blur = nn.Conv2d(3, 3, 5, padding=2)
        nn.init.uniform_(self.blur.weight, -0.1, 0.1, generator=torch.Generator().manual_seed(0))

    def forward(self, degraded: Tensor) -> Tensor:
        blurred: Tensor = self.blur(degraded)
        return blurred.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


@pytest.mark.parametrize("size", range(1, 70, 3))
@pytest.mark.parametrize(("tile", "overlap"), [(16, 0), (16, 8), (7, 6), (20, 19)])
def test_tiles_cover_the_image_and_share_enough(size: int, tile: int, overlap: int) -> None:
    starts = tile_starts(size, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] + tile == size or size <= tile
    for start, following in pairwise(starts):
        assert start < following
        assert start + tile - following >= overlap


@pytest.mark.parametrize(("tile", "overlap"), [(16, 16), (16, 20), (16, -1)])
def test_an_overlap_without_progress_is_refused(tile: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="at least 0 and below tile=16"):
        tile_starts(40, tile, overlap)


@pytest.mark.parametrize("scale", [1, 2])
def test_identity_is_restored_exactly_whatever_the_tiles(scale: int) -> None:
    image = torch.rand(2, 3, 45, 61, generator=torch.Generator().manual_seed(0))
    net = Local(scale)
    net.blur = nn.Identity()  # type: ignore[assignment]
    tiled = restore_tiled(net, image, tile=16, overlap=7)
    assert torch.allclose(tiled, net(image), atol=1e-6)


def test_away_from_seams_tiles_equal_the_whole() -> None:
    """Blended pixels are wrong only where a tile's own edge is within sight."""
    image = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    net = Local()
    with torch.no_grad():
        difference = (restore_tiled(net, image, tile=24, overlap=8) - net(image)).abs().amax((0, 1))
    seen = torch.ones(40, dtype=torch.bool)
    for start in tile_starts(40, 24, 8)[1:]:
        seen[start : start + 2] = False
    for start in tile_starts(40, 24, 8)[:-1]:
        seen[start + 22 : start + 24] = False
    assert float(difference[seen][:, seen].max()) < 1e-6
    assert float(difference.max()) > 1e-3


@pytest.mark.parametrize("size", [(5, 9), (16, 17), (33, 31), (90, 16)])
def test_every_size_keeps_its_size(size: tuple[int, int]) -> None:
    with torch.no_grad():
        restored = restore_tiled(Local(2), torch.zeros(1, 3, *size), tile=16, overlap=4)
    assert restored.shape == (1, 3, 2 * size[0], 2 * size[1])
    assert bool(restored.isfinite().all())


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


def _image() -> torch.Tensor:
    return torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("index", range(8))
def test_each_map_is_undone_exactly(index: int) -> None:
    assert torch.equal(undo_dihedral(dihedral(_image(), index), index), _image())


def test_the_eight_maps_differ() -> None:
    square = _image()[..., :5]
    variants = [dihedral(square, index) for index in range(8)]
    assert all(
        not torch.equal(variants[one], variants[other]) for one in range(8) for other in range(one)
    )


def test_a_network_that_knows_no_direction_is_not_changed() -> None:
    image = _image()
    assert torch.allclose(self_ensemble(lambda seen: seen * 2, image), image * 2)


def test_the_ensemble_turns_with_the_image() -> None:
    def biased(seen: torch.Tensor) -> torch.Tensor:
        return seen + torch.linspace(0, 1, seen.shape[-1])

    for index in range(8):
        turned = self_ensemble(biased, dihedral(_image(), index))
        assert torch.allclose(turned, dihedral(self_ensemble(biased, _image()), index), atol=1e-6)
