from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from src.inference.tiling import restore_tiled, tile_starts


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
