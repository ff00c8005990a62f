"""Scores do not depend on the length of a query, and how sharp they are is learned."""

import pytest
import torch
from torch import nn

from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.cross_scale_cosine import CosineCrossScaleAttention


def features() -> torch.Tensor:
    return torch.randn(1, 8, 9, 7, generator=torch.Generator().manual_seed(0))


def test_without_normalising_it_begins_as_the_block_as_published() -> None:
    torch.manual_seed(0)
    published, learned = CrossScaleAttention(8), CosineCrossScaleAttention(8, normalise=False)
    learned.load_state_dict({**learned.state_dict(), **published.state_dict()})
    assert torch.equal(learned(features()), published(features()))


def test_the_length_of_a_query_does_not_count() -> None:
    torch.manual_seed(0)
    block = CosineCrossScaleAttention(8)
    query = block.query(features())
    torch.testing.assert_close(query.norm(dim=1), torch.ones(1, 9, 7))
    before = block(features())
    with torch.no_grad():
        convolution = block.query[0]
        assert isinstance(convolution, nn.Conv2d)
        convolution.weight *= 7
        assert convolution.bias is not None
        convolution.bias *= 7
    torch.testing.assert_close(block(features()), before)


@pytest.mark.parametrize("normalise", [True, False])
def test_a_step_of_training_moves_the_factor(normalise: bool) -> None:
    torch.manual_seed(0)
    block = CosineCrossScaleAttention(8, normalise=normalise)
    temperature = block.query[2]
    block(features()).square().mean().backward()
    assert isinstance(temperature.logarithm, nn.Parameter)
    assert temperature.logarithm.grad is not None
    assert temperature.logarithm.grad.abs() > 0
