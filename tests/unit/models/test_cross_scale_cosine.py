"""Scores do not depend on the length of a query, and how sharp they are is learned."""

import pytest
import torch

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
        for parameter in block.query[0].parameters():
            parameter.mul_(7)
    torch.testing.assert_close(block(features()), before)


@pytest.mark.parametrize("normalise", [True, False])
def test_a_step_of_training_moves_the_factor(normalise: bool) -> None:
    torch.manual_seed(0)
    block = CosineCrossScaleAttention(8, normalise=normalise)
    factor = dict(block.named_parameters())["query.2.logarithm"]
    (gradient,) = torch.autograd.grad(block(features()).square().mean(), factor)
    assert gradient.abs() > 1e-9
