"""What SwinIR and Restormer do with their own attention and with another."""

from functools import partial

import pytest
import torch

from src.models.attention.none import NoAttention
from src.models.attention.transposed import TransposedAttention
from src.models.attention.window import WindowAttention
from src.models.backbones.restormer import Restormer
from src.models.backbones.swinir import SwinIR
from src.models.blocks.parts import heads_for
from src.models.blocks.trunk import per_level


@pytest.mark.parametrize(
    ("channels", "head_channels", "heads"),
    [(180, 30, 6), (60, 10, 6), (48, 48, 1), (96, 48, 2), (192, 48, 4), (384, 48, 8), (47, 30, 1)],
)
def test_heads_are_those_of_the_papers(channels: int, head_channels: int, heads: int) -> None:
    assert heads_for(channels, head_channels) == heads


def test_every_other_window_block_of_swinir_is_shifted() -> None:
    net = SwinIR(channels=8, groups=2, blocks=3)
    shifted = [m.shifted for m in net.modules() if isinstance(m, WindowAttention)]
    assert shifted == [False, True, False] * 2


def test_swinir_needs_a_multiple_only_for_its_windows() -> None:
    small = partial(SwinIR, channels=8, groups=1, blocks=1)
    assert small(attention=partial(WindowAttention, window=7)).multiple_of == 7
    assert small(attention=NoAttention).multiple_of == 1
    assert not small().global_context
    assert small(attention=TransposedAttention).global_context


def test_swinir_at_scale_1_refuses_unequal_channels() -> None:
    with pytest.raises(ValueError, match="4 image channels cannot become 3"):
        SwinIR(4, 3, 1)


def test_restormer_keeps_the_heads_of_the_finest_level_at_twice_its_channels() -> None:
    with torch.device("meta"):
        net = Restormer(blocks=1, refinement_blocks=1)
    heads = [m.heads for m in net.modules() if isinstance(m, TransposedAttention)]
    assert heads == [1, 2, 4, 8, 4, 2, 1, 1]  # encoder, middle, decoder, refinement


def test_a_wrong_number_of_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="4 levels need 4 numbers"):
        per_level([1, 2, 3], 4)
