"""Non-local sparse attention (Mei et al., 2021, CVPR): similar pixels found by hashing."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.seeding import generator_for
from src.models.attention import ATTENTION
from src.ops.attention.contract import at_least_float32, no_autocast

_MAX_BUCKETS = 128
_MIN_NORM = 5e-5


@ATTENTION.register(paper="Mei et al., 2021, CVPR (NLSN)", cost="O(n·(C·buckets + chunk))")
class SparseAttention(nn.Module):
    """Attend from each pixel to those that hash alike, in several rounds of hashing.

    A round rotates the embedded pixels at random and takes the nearest axis for their bucket
    (spherical locality-sensitive hashing). Sorted by bucket they are cut into chunks;
    a pixel attends to its own chunk and both neighbours, and the rounds are averaged by their
    softmax normalisers. Sorting is stable, so equal inputs give equal outputs. Up to one chunk of
    pixels this is full attention.

    The rotations are a buffer, drawn once and saved with the weights. With a ``generator`` set,
    training draws fresh ones at every call, as the authors do; evaluation never does.

    Args:
        channels: Feature channels C; any.
        rounds: Rounds of hashing.
        reduction: Ratio of C to the channels in which pixels are compared.
        chunk: Pixels in a chunk.
        residual_scale: Factor on the attention term.
        generator: Source of fresh rotations in training; None keeps those of the buffer.

    Raises:
        ValueError: If ``rounds``, ``reduction`` or ``chunk`` is below 1.
    """

    scale = 1
    identity_if_zero = "value"
    follows_size = True  # as many chunks as there are pixels for
    rotations: Tensor

    def __init__(
        self,
        channels: int,
        *,
        rounds: int = 4,
        reduction: int = 4,
        chunk: int = 144,
        residual_scale: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        if min(rounds, reduction, chunk) < 1:
            raise ValueError(f"{rounds=}, {reduction=}, {chunk=}: all must be >= 1.")
        super().__init__()
        inner = max(1, channels // reduction)
        self.match = nn.Conv2d(channels, inner, kernel_size=3, padding=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        self.rounds, self.chunk, self.residual_scale = rounds, chunk, residual_scale
        self.generator = generator
        fixed = generator_for("cpu", "sparse_lsh", inner, rounds)
        shape = (rounds, inner, _MAX_BUCKETS // 2)
        self.register_buffer("rotations", torch.randn(shape, generator=fixed))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Attend among similar pixels of ``features``, of any H, W >= 1."""
        match, value = self.match(features), self.value(features)
        with no_autocast(features):  # rounding would move pixels between buckets
            pixels = at_least_float32(match).flatten(2).transpose(1, 2)
            values = at_least_float32(value).flatten(2).transpose(1, 2)
            order = self._buckets(pixels.detach()).argsort(dim=-1, stable=True)  # (b, r, n)
            results, normalisers = zip(
                *(self._round(pixels, values, order[:, r]) for r in range(self.rounds)), strict=True
            )
            shares = torch.stack(normalisers).softmax(dim=0)[..., None]  # (r, b, n, 1)
            attended = (torch.stack(results) * shares).sum(dim=0)
        image = attended.transpose(1, 2).reshape(features.shape).to(features.dtype)
        return features + self.residual_scale * image

    def _buckets(self, pixels: Float[Tensor, "b n k"]) -> Int[Tensor, "b r n"]:
        """Return the bucket of each pixel in each round: the nearest of ± the rotated axes."""
        chunks = pixels.shape[1] // self.chunk
        axes = max(2, min(chunks + chunks % 2, _MAX_BUCKETS)) // 2
        rotated = pixels[:, None] @ self._current_rotations()[..., :axes].to(pixels.dtype)
        return torch.cat([rotated, -rotated], dim=-1).argmax(dim=-1)

    def _current_rotations(self) -> Tensor:
        if self.generator is None or not self.training:
            return self.rotations
        shape, device = self.rotations.shape, self.generator.device
        return torch.randn(shape, generator=self.generator, device=device).to(self.rotations)

    def _round(
        self,
        pixels: Float[Tensor, "b n k"],
        values: Float[Tensor, "b n c"],
        order: Int[Tensor, "b n"],
    ) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b n"]]:
        """Attend among chunks of the pixels in ``order``; return the sums and log-normalisers."""
        count = pixels.shape[1]
        query = self._chunks(_take(pixels, order))  # (b, m, chunk, k)
        key = _with_neighbours(F.normalize(query, dim=-1, eps=_MIN_NORM))
        value = _with_neighbours(self._chunks(_take(values, order)))
        real = self._chunks(pixels.new_ones(1, count, 1))
        padding = _with_neighbours(real)[..., 0] == 0  # (1, m, 3 chunk)
        scores = query @ key.transpose(-2, -1)
        scores = scores.masked_fill(padding[:, :, None], -torch.inf)
        normaliser = scores.logsumexp(dim=-1, keepdim=True)
        result = (scores - normaliser).exp() @ value
        back = order.argsort(dim=-1)
        flat = torch.cat([result, normaliser], dim=-1).flatten(1, 2)[:, :count]
        unsorted = _take(flat, back)
        return unsorted[..., :-1], unsorted[..., -1]

    def _chunks(self, pixels: Float[Tensor, "b n k"]) -> Float[Tensor, "b m l k"]:
        """Cut the pixels into chunks, the last filled up with zeros."""
        length = min(self.chunk, pixels.shape[1])
        filled = F.pad(pixels, (0, 0, 0, -pixels.shape[1] % length))
        return torch.unflatten(filled, 1, (-1, length))


def _take(pixels: Tensor, order: Tensor) -> Tensor:
    return pixels.gather(1, order[..., None].expand(-1, -1, pixels.shape[-1]))


def _with_neighbours(chunks: Tensor) -> Tensor:
    """Put each chunk beside the one before and the one after; the first and last are neighbours."""
    return torch.cat([chunks, chunks.roll(1, dims=1), chunks.roll(-1, dims=1)], dim=2)
