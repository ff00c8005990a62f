"""CSNLN: every size, every attention block, less memory on demand, and what it refuses."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.none import NoAttention
from src.models.attention.pyramid import PyramidAttention
from src.models.backbones.csnln import CSNLN
from src.models.backbones.panet import PANet

SPARSE = [(5, 5), (5, 6), (6, 5), (7, 41), (13, 11), (31, 31), (40, 41)]
"""Each remainder by 2 and 3 on each axis, the extremes, and what crashed the authors' code."""


def tiny(scale: int, **options: object) -> CSNLN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CSNLN(scale=scale, **{"channels": 4, "depth": 2, **options})  # type: ignore[arg-type]


def image(height: int, width: int, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(1))


def accepts(net: nn.Module, height: int, width: int) -> bool:
    with torch.no_grad():
        restored = net.eval()(image(height, width))
    scale = int(net.scale)
    return restored.shape[-2:] == (height * scale, width * scale) and bool(
        torch.isfinite(restored).all()
    )


@pytest.mark.parametrize("size", SPARSE)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_csnln_takes_every_size(scale: int, size: tuple[int, int]) -> None:
    assert accepts(tiny(scale), *size)


@pytest.mark.parametrize("size", [(1, 1), *SPARSE])
def test_panet_takes_every_size(size: tuple[int, int]) -> None:
    assert accepts(PANet(channels=4, blocks=2), *size)


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [lambda: PANet(channels=4, blocks=2), *(lambda s=s: tiny(s, depth=1) for s in (2, 3, 4))],
    ids=["panet", "csnln ×2", "csnln ×3", "csnln ×4"],
)
def test_really_every_size_from_5_to_41_is_taken(build: Callable[[], nn.Module]) -> None:
    net = build()
    refused = [
        size for size in itertools.product(range(5, 41), range(5, 42)) if not accepts(net, *size)
    ]
    assert refused == []


@pytest.mark.parametrize("scale", [2, 3])
def test_padding_changes_nothing_where_the_size_is_a_multiple_already(scale: int) -> None:
    net = tiny(scale).eval()
    whole = image(6, 12)
    with torch.no_grad():
        state = net.head(net.sub_mean(whole))
        first = net.cell(state)
        second = net.cell(net.cell.advance(first))
        by_hand = net.add_mean(net.tail(torch.cat([first, second], dim=1)))
        assert torch.equal(net(whole), by_hand)


@pytest.mark.parametrize(("scale", "step"), [(2, 2), (3, 3), (4, 2)])
def test_another_size_is_that_of_the_mirrored_image_cut(scale: int, step: int) -> None:
    net = tiny(scale).eval()
    whole = image(5, 7)
    mirrored = nn.functional.pad(whole, (0, -7 % step, 0, -5 % step), mode="reflect")
    with torch.no_grad():
        assert torch.equal(net(whole), net(mirrored)[..., : 5 * scale, : 7 * scale])


@pytest.mark.parametrize("scale", [2, 4])
def test_checkpointed_recurrences_give_the_same_image_and_the_same_gradient(scale: int) -> None:
    plain, frugal = tiny(scale), tiny(scale, checkpoint_recurrences=True)
    for net in (plain, frugal):
        net(image(5, 6)).square().mean().backward()
    for one, other in zip(plain.parameters(), frugal.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None and other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-9)


def kept_for_backward(net: nn.Module) -> int:
    """Return how many numbers the forward pass keeps for the backward pass."""
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(image(12, 12))
    return kept


def test_checkpointed_recurrences_keep_much_less_for_the_backward_pass() -> None:
    plain, frugal = (
        kept_for_backward(tiny(2, depth=4, checkpoint_recurrences=flag)) for flag in (False, True)
    )
    assert frugal < plain / 4


@pytest.mark.parametrize("scale", [1, 5])
def test_other_scales_are_refused_with_the_reason(scale: int) -> None:
    with pytest.raises(ValueError, match=f"CSNLN needs scale 2, 3 or 4, not {scale}.*larger"):
        CSNLN(scale=scale)


def test_no_recurrence_is_refused() -> None:
    with pytest.raises(ValueError, match="depth=0"):
        CSNLN(depth=0)


@pytest.mark.parametrize("attention", [NoAttention, PyramidAttention, CrossScaleAttention])
def test_another_attention_block_takes_the_place_of_the_in_scale_one(
    attention: Callable[[int], nn.Module],
) -> None:
    net = tiny(4, attention=attention)
    restored = net(image(5, 6))
    assert restored.shape == (1, 3, 20, 24)
    assert not torch.equal(restored, tiny(4)(image(5, 6)))


def test_grey_images_and_noise_maps_are_not_shifted_by_a_mean_colour() -> None:
    net = tiny(2, in_channels=1, out_channels=1)
    assert net(image(5, 6, channels=1)).shape == (1, 1, 10, 12)
    assert isinstance(net.sub_mean, nn.Identity)
    assert isinstance(net.add_mean, nn.Identity)
