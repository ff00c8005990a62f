import itertools
import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from src.app.build import make
from src.core.errors import ConfigError
from src.inference import choice
from src.inference.choice import Footprint
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer
from src.models.attention.pyramid import PyramidAttention
from src.models.backbones.panet import PANet
from tests.support.compose import compose_config

GIB = 2**30


class Picky(nn.Module):
    """Refuses what the backbone contract lets it refuse; remembers what it saw."""

    in_channels = out_channels = 3

    def __init__(
        self,
        *,
        multiple_of: int = 1,
        min_size: int = 1,
        scale: int = 1,
        global_context: bool = True,
    ) -> None:
        super().__init__()
        self.multiple_of, self.min_size = multiple_of, min_size
        self.scale, self.global_context = scale, global_context
        self.seen: list[tuple[int, int]] = []

    def forward(self, degraded: Tensor) -> Tensor:
        height, width = degraded.shape[-2:]
        assert height % self.multiple_of == 0 == width % self.multiple_of
        assert min(height, width) >= self.min_size
        self.seen.append((height, width))
        return degraded.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


def _of(shape: Sequence[int], whole: Footprint | None) -> Footprint | None:
    """Return ``whole`` for an image, and next to nothing for a tile."""
    return whole if max(shape[-2:]) > 96 else Footprint(2**20, 1)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (8, 8), (9, 17), (50, 7)])
@pytest.mark.parametrize("tile", [None, 13, "auto"])
def test_any_size_goes_through_a_picky_network_and_comes_back_as_it_was(
    size: tuple[int, int], tile: int | str | None
) -> None:
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    net = Picky(multiple_of=8, min_size=16, scale=2)
    restored = Restorer(net, InferencePolicy(tile=tile, overlap=5))(image)  # type: ignore[arg-type]
    expected = image.repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert torch.allclose(restored, expected, atol=1e-6)


def test_auto_takes_the_whole_of_a_small_image() -> None:
    net = Picky()
    Restorer(net, InferencePolicy())(torch.zeros(1, 3, 128, 100))
    assert net.seen == [(128, 100)]


def test_auto_takes_the_whole_of_a_large_image_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    restorer = Restorer(Picky(), InferencePolicy())
    monkeypatch.setattr(choice, "footprint", lambda *_: Footprint(3 * GIB, 10**12))
    monkeypatch.setattr(choice, "free_bytes", lambda _: 5 * GIB)
    image = torch.zeros(1, 3, 300, 200)
    assert restorer.choice(image).tile is None
    assert restorer.announce(image) == "whole image, about 3.00 GiB of 5.00 GiB free"


@pytest.mark.parametrize(
    ("need", "says"),
    [
        (Footprint(4 * GIB, 10**12), "the whole image needs about 4.00 GiB"),
        (Footprint(GIB, 10**14), "the whole image is 100 TFLOP.* inference.tile=null does it"),
        (None, "cannot be told"),
    ],
    ids=["memory", "time", "unknown"],
)
def test_auto_cuts_a_large_image_and_says_why(
    need: Footprint | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Picky()
    restorer = Restorer(net, InferencePolicy())
    monkeypatch.setattr(choice, "footprint", lambda _, shape, *__: _of(shape, need))
    monkeypatch.setattr(choice, "free_bytes", lambda _: 5 * GIB)
    restorer(torch.zeros(1, 3, 300, 200))
    assert set(net.seen) == {(96, 96)}
    assert re.search(says, restorer.describe())
    assert restorer.describe().startswith("tiles of 96 pixels")


def test_tiles_shrink_until_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Picky(global_context=False, multiple_of=8)
    monkeypatch.setattr(
        choice, "footprint", lambda _, shape, *__: Footprint(2**20 * shape[2] * shape[3], 1)
    )
    monkeypatch.setattr(choice, "free_bytes", lambda _: 2**20 * 130**2)
    Restorer(net, InferencePolicy())(torch.zeros(1, 3, 300, 200))
    assert set(net.seen) == {(96, 96)}


def test_auto_takes_the_whole_of_any_image_where_attention_is_local() -> None:
    restorer = Restorer(Picky(global_context=False), InferencePolicy())
    assert restorer.choice(torch.zeros(1, 3, 300, 200)).tile is None


@pytest.mark.parametrize("name", ["global_context", "multiple_of", "scale"])
def test_a_network_without_what_the_contract_names_is_refused_at_once(name: str) -> None:
    net = Picky()
    vars(net).pop(name)
    with pytest.raises(ConfigError, match=f"Picky has no {name}, which every network has"):
        Restorer(net, InferencePolicy())


def test_null_takes_the_whole_image() -> None:
    net = Picky()
    Restorer(net, InferencePolicy(tile=None))(torch.zeros(1, 3, 100, 20))
    assert net.seen == [(100, 20)]


def test_the_ensemble_sees_eight_variants() -> None:
    net = Picky()
    Restorer(net, InferencePolicy(ensemble=True))(torch.zeros(1, 3, 5, 7))
    assert sorted(net.seen) == [(5, 7)] * 4 + [(7, 5)] * 4


@pytest.mark.parametrize(
    "policy", [{"tile": 16, "overlap": 16}, {"tile": 0}, {"tile": -5}, {"overlap": -1}]
)
def test_a_tile_not_larger_than_its_overlap_is_refused(policy: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"inference\.tile=.*below the tile"):
        InferencePolicy(**policy)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "parts"),
    [
        ({"tile": None}, [1.0]),
        ({"tile": 64, "overlap": 8}, [index / 20 for index in range(1, 21)]),
        ({"tile": None, "ensemble": True}, [index / 8 for index in range(1, 9)]),
        ({"tiling": "paper", "paper_pixels": 6400}, [index / 16 for index in range(1, 17)]),
    ],
    ids=["whole", "tiles", "turns", "quarters"],
)
def test_each_pass_through_the_network_is_told_to_who_looks_on(
    policy: dict[str, Any], parts: list[float]
) -> None:
    restorer = Restorer(Picky(), InferencePolicy(**policy))
    seen: list[float] = []
    restorer.watcher = seen.append
    restorer(torch.zeros(1, 3, 180, 250))
    assert seen == parts


@pytest.mark.long
@pytest.mark.parametrize("model", ["panet_tiny", "nafnet", "imdn"])
def test_a_large_whole_image_moves_by_its_work_and_comes_out_in_the_same_bits(model: str) -> None:
    net: nn.Module = make(compose_config(f"model={model}").model).eval()
    restorer = Restorer(net, InferencePolicy(tile=None))
    image = torch.rand(1, 3, 136, 144, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        alone = restorer(image)
        seen: list[float] = []
        restorer.watcher = seen.append
        watched = restorer(image)
    assert torch.equal(alone, watched)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) > 10
    assert max(after - before for before, after in itertools.pairwise([0.0, *seen])) < 0.9


def _panet() -> nn.Module:
    return PANet(channels=8, blocks=2).eval()


def test_a_window_limits_attention_while_images_are_restored_and_not_in_training() -> None:
    net, image = _panet(), torch.rand(1, 3, 30, 26, generator=torch.Generator().manual_seed(0))
    restored = {
        window: Restorer(net, InferencePolicy(tile=None, window=window))(image)
        for window in (None, 30, 7)
    }
    assert torch.equal(restored[30], restored[None])
    assert not torch.equal(restored[7], restored[None])
    blocks = [module for module in net.modules() if isinstance(module, PyramidAttention)]
    assert all(block.window is None for block in blocks)
    for block in blocks:
        block.window = 7
    with torch.no_grad():
        assert torch.equal(net(image), restored[7])


@pytest.mark.long
def test_a_window_is_said_and_counted() -> None:
    image, need = torch.rand(1, 3, 200, 180), {}
    for window in (None, 9):
        restorer = Restorer(_panet(), InferencePolicy(tile=None, window=window))
        need[window] = restorer.choice(image).need
        assert ("windows of 9 pixels" in restorer.announce(image)) == (window is not None)
    assert need[9].flops < need[None].flops / 10
    assert need[9].bytes < need[None].bytes


def test_a_window_that_is_empty_or_that_no_attention_takes_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"inference\.window=0 is not possible"):
        InferencePolicy(window=0)
    with pytest.raises(ConfigError, match="no attention that takes a window"):
        Restorer(Picky(), InferencePolicy(window=9))
