"""Non-local sparse attention against a plain loop over pixels, in double precision."""

from collections.abc import Iterator

import pytest
import torch

from src.models.attention.sparse_lsh import SparseAttention
from tests.support.loops import image, ready

pytestmark = pytest.mark.parity


@pytest.fixture(autouse=True)
def fixed_weights() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def chunk_neighbours(position: int, chunk: int, count: int) -> list[int]:
    """Return the sorted positions that one attends to, with repeats where chunks coincide."""
    chunks = -(-count // chunk)
    own = position // chunk
    members = [(own + step) % chunks for step in (0, -1, 1)]
    return [p for m in members for p in range(m * chunk, min(count, (m + 1) * chunk))]


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (3, 3)], ids=["whole", "partial", "two"])
def test_sparse_attention_sees_the_chunks_of_its_bucket(size: tuple[int, int]) -> None:
    block = ready(SparseAttention(8, rounds=3, chunk=6, residual_scale=0.5))
    height, width = size
    count = height * width
    features = image(8, height, width)
    match, value = (part(features).flatten(2) for part in (block.match, block.value))
    buckets = count // 6 + (count // 6) % 2
    expected = torch.empty_like(features)
    for b in range(2):
        pixels, values = match[b].T, value[b].T
        orders = []
        for rotation in block.rotations:
            axes = [pixel @ rotation[:, : buckets // 2] for pixel in pixels]
            codes = [int(torch.cat([a, -a]).argmax()) for a in axes]
            orders.append(sorted(range(count), key=codes.__getitem__))
        for i in range(count):
            results, normalisers = [], []
            for order in orders:
                near = [order[p] for p in chunk_neighbours(order.index(i), 6, count)]
                scores = torch.stack([pixels[i] @ pixels[j] / pixels[j].norm() for j in near])
                normalisers.append(scores.exp().sum())
                results.append(scores.softmax(0) @ values[near])
            shares = torch.stack(normalisers) / torch.stack(normalisers).sum()
            attended = sum(s * r for s, r in zip(shares, results, strict=True))
            expected[b, :, i // width, i % width] = features[b].flatten(1)[:, i] + 0.5 * attended
    torch.testing.assert_close(block(features), expected)


def test_sparse_attention_of_few_pixels_is_full_attention() -> None:
    block = ready(SparseAttention(8))
    features = image(8, 9, 11)
    match, value = (part(features).flatten(2) for part in (block.match, block.value))
    key = match / match.norm(dim=1, keepdim=True)
    attended = value @ (match.transpose(1, 2) @ key).softmax(-1).transpose(1, 2)
    torch.testing.assert_close(block(features), features + attended.view_as(features))


def test_sparse_attention_draws_fresh_rotations_only_in_training_and_only_from_its_generator() -> (
    None
):
    generator = torch.Generator().manual_seed(1)
    block = ready(SparseAttention(8, chunk=6, generator=generator))
    features = image(8, 9, 11)
    first, second = block(features), block(features)
    generator.manual_seed(1)
    assert torch.equal(block(features), first)
    assert not torch.equal(first, second)
    state = generator.get_state()
    block.eval()
    assert torch.equal(block(features), block(features))
    assert torch.equal(generator.get_state(), state)
