"""Each attention block against a plain loop or a straightforward reference, in double precision."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from src.models.attention.channel import (
    ChannelAttention,
    ChannelSpatialAttention,
    PixelAttention,
    SecondOrderAttention,
    newton_schulz_root,
)
from src.models.attention.non_local import NonLocalAttention
from src.models.attention.transposed import TransposedAttention
from src.models.attention.window import WindowAttention
from tests.support.loops import image, ready

pytestmark = pytest.mark.parity


@pytest.fixture(autouse=True)
def fixed_weights() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def pixelwise(convolution: nn.Module, pixel: Tensor) -> Tensor:
    """Apply a 1×1 convolution to the channels of one pixel."""
    assert isinstance(convolution, nn.Conv2d)
    weight = convolution.weight[:, :, 0, 0]
    return weight @ pixel if convolution.bias is None else weight @ pixel + convolution.bias


def gated(gate: nn.Module, descriptor: Tensor) -> Tensor:
    shrink, widen = (layer for layer in gate.modules() if isinstance(layer, nn.Conv2d))
    return torch.sigmoid(pixelwise(widen, pixelwise(shrink, descriptor).clamp(min=0)))


def normalised(norm: nn.Module, features: Tensor) -> Tensor:
    """Normalise the channels of each pixel by mean and biased standard deviation."""
    mean = features.mean(dim=1, keepdim=True)
    variance = (features - mean).square().mean(dim=1, keepdim=True)
    weight, bias = (getattr(norm, name)[None, :, None, None] for name in ("weight", "bias"))
    normal: Tensor = (features - mean) / (variance + 1e-5).sqrt() * weight + bias
    return normal


def test_non_local_attention_is_a_weighted_mean_over_all_pixels() -> None:
    block = ready(NonLocalAttention(6))
    features = image(6, 3, 5)
    expected = torch.empty_like(features)
    for b in range(2):
        pixels = features[b].flatten(1).T
        for i, pixel in enumerate(pixels):
            query = pixelwise(block.query, pixel)
            weights = torch.stack([(query @ pixelwise(block.key, p)).exp() for p in pixels])
            values = torch.stack([pixelwise(block.value, p) for p in pixels])
            mean = (weights[:, None] * values).sum(0) / weights.sum()
            expected[b, :, i // 5, i % 5] = pixel + pixelwise(block.project, mean)
    torch.testing.assert_close(block(features), expected)


def test_channel_attention_weights_channels_by_their_means() -> None:
    block = ready(ChannelAttention(7, reduction=3))
    features = image(7, 4, 5)
    expected = torch.empty_like(features)
    for b in range(2):
        factors = gated(block.gate, torch.stack([channel.mean() for channel in features[b]]))
        for c in range(7):
            expected[b, c] = features[b, c] * factors[c]
    torch.testing.assert_close(block(features), expected)


def test_pixel_attention_weights_each_pixel_by_itself() -> None:
    block = ready(PixelAttention(5))
    features = image(5, 3, 4)
    expected = torch.empty_like(features)
    for b, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(4)):
        pixel = features[b, :, y, x]
        expected[b, :, y, x] = pixel * torch.sigmoid(pixelwise(block.gate, pixel))
    torch.testing.assert_close(block(features), expected)


def test_newton_schulz_converges_to_the_symmetric_square_root() -> None:
    factor = torch.randn(3, 5, 40, dtype=torch.float64)
    matrix = factor @ factor.transpose(1, 2) / 40
    values, vectors = torch.linalg.eigh(matrix)
    exact = vectors @ (values.sqrt()[:, :, None] * vectors.transpose(1, 2))
    torch.testing.assert_close(newton_schulz_root(matrix, iterations=20), exact)


def test_second_order_attention_weights_channels_by_the_root_of_their_covariance() -> None:
    block = ready(SecondOrderAttention(4, reduction=2, iterations=25))
    features = image(4, 6, 7)
    expected = torch.empty_like(features)
    for b in range(2):
        covariance = torch.cov(features[b].flatten(1), correction=0)
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors @ torch.diag(values.sqrt()) @ vectors.T
        expected[b] = features[b] * gated(block.gate, root.mean(dim=1))[:, None, None]
    torch.testing.assert_close(block(features), expected)


def test_five_newton_schulz_steps_are_the_papers_recursion() -> None:
    factor = torch.randn(4, 9, dtype=torch.float64)
    matrix = factor @ factor.T
    y, z, three = matrix / matrix.trace(), torch.eye(4).double(), 3 * torch.eye(4).double()
    for _ in range(5):
        y, z = 0.5 * y @ (three - z @ y), 0.5 * (three - z @ y) @ z
    expected = matrix.trace().sqrt() * y
    torch.testing.assert_close(newton_schulz_root(matrix[None], iterations=5)[0], expected)


def test_channel_spatial_attention_slides_one_filter_over_three_axes() -> None:
    block = ready(ChannelSpatialAttention(4))
    features = image(4, 3, 5)
    weight, bias = block.gate.weight[0, 0], block.gate.bias[0]
    expected = torch.empty_like(features)
    padded = torch.zeros(2, 6, 5, 7, dtype=torch.float64)
    padded[:, 1:-1, 1:-1, 1:-1] = features
    for b in range(2):
        for c, y, x in torch.cartesian_prod(torch.arange(4), torch.arange(3), torch.arange(5)):
            score = (padded[b, c : c + 3, y : y + 3, x : x + 3] * weight).sum() + bias
            kept = features[b, c, y, x]
            expected[b, c, y, x] = kept + block.beta[0] * score.sigmoid() * kept
    torch.testing.assert_close(block(features), expected)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("size", [(8, 12), (7, 10), (3, 9), (2, 3)])
def test_window_attention_sees_the_neighbours_within_its_window(
    size: tuple[int, int], *, shifted: bool
) -> None:
    block = ready(WindowAttention(6, window=4, head_channels=3, shifted=shifted))
    height, width = size
    features = image(6, height, width)
    normal = normalised(block.norm, features)
    start = [2 if shifted and side > 4 else 0 for side in size]  # one window is never shifted

    def window_of(y: int, x: int) -> tuple[int, int]:
        return (y - start[0]) // 4, (x - start[1]) // 4

    positions = [(y, x) for y in range(height) for x in range(width)]
    expected = torch.empty_like(features)
    for b in range(2):
        embedded = {p: block.embed(normal[b, :, p[0], p[1]]).view(3, 2, 3) for p in positions}
        for y, x in positions:
            seen = [p for p in positions if window_of(*p) == window_of(y, x)]
            heads = []
            for head in range(2):
                query = embedded[y, x][0, head]
                scores = torch.stack(
                    [
                        query @ embedded[v, u][1, head] / 3**0.5
                        + block.position_bias[(y - v + 3) * 7 + (x - u + 3), head]
                        for v, u in seen
                    ]
                )
                values = torch.stack([embedded[p][2, head] for p in seen])
                heads.append(scores.softmax(0) @ values)
            expected[b, :, y, x] = features[b, :, y, x] + block.project(torch.cat(heads))
    torch.testing.assert_close(block(features), expected)


def test_transposed_attention_compares_channels_by_their_cosines() -> None:
    block = ready(TransposedAttention(6, head_channels=3))
    features = image(6, 4, 5)
    embedded = block.embed(normalised(block.norm, features)).flatten(2)
    expected = torch.empty_like(features)
    for b in range(2):
        query, key, value = embedded[b].split(6)
        attended = torch.empty_like(value)
        for i in range(6):
            head = i // 3
            peers = range(3 * head, 3 * head + 3)
            cosines = [torch.cosine_similarity(query[i], key[j], dim=0) for j in peers]
            weights = (torch.stack(cosines) * block.temperature[head, 0, 0]).softmax(0)
            attended[i] = weights @ value[3 * head : 3 * head + 3]
        expected[b] = features[b] + block.project(attended.view(1, 6, 4, 5))[0]
    torch.testing.assert_close(block(features), expected)
