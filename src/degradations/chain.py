"""Degradations of several steps: one after another, in any order, sometimes, or one of several."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.degradations.drawn import check_weights, choose, happens, inside, note
from src.degradations.gaussian import as_8bit
from src.degradations.resize import INTERPOLATIONS, ending_at, final_size, to_final_size


class Chain(nn.Module):
    """Degrade each image by steps that draw for it alone, and bring it to its final size.

    Within a chain another one is a step like any other: only the outermost has a final size.

    Args:
        steps: Name → degradation, called as (image, generator); in this order.
        shuffled: Whether the order is drawn for each image (BSRGAN; Zhang et al., 2021,
            arXiv:2103.14006).
        scale: Size of a clean image over that of a degraded one.
        clip8: Round and clip the degraded image to 8 bits, as a file has it.
        resizing: Weights of the interpolations that bring an image to its final size where its
            steps have not.
        name: What reports call it.

    Raises:
        ValueError: If there is no step, or an interpolation is unknown.
    """

    def __init__(
        self,
        steps: Mapping[str, nn.Module],
        *,
        shuffled: bool = False,
        scale: int = 1,
        clip8: bool = True,
        resizing: Mapping[str, float] | None = None,
        name: str = "chain",
    ) -> None:
        super().__init__()
        self.name = name
        if not steps:
            raise ValueError("steps={}: a chain needs one step or more, name → degradation.")
        self.steps = nn.ModuleDict(dict(steps))
        self.shuffled, self.scale, self.clip8 = shuffled, scale, clip8
        self.resizing = check_weights("resizing", resizing or {"bicubic": 1.0}, INTERPOLATIONS)

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h2 w2"]:
        """Map images in [0, 1], of sides that are multiples of ``scale``, to degraded ones."""
        return torch.cat([self._one(image[None], generator) for image in clean])

    def _one(self, image: Tensor, generator: torch.Generator | None) -> Tensor:
        if final_size() is not None:
            return self._stepped(image, generator)
        height, width = image.shape[-2:]
        with ending_at((height // self.scale, width // self.scale)):
            image = to_final_size(self._stepped(image, generator), generator, self.resizing)
        return as_8bit(image) if self.clip8 else image

    def _stepped(self, image: Tensor, generator: torch.Generator | None) -> Tensor:
        names = list(self.steps)
        if self.shuffled:
            device = "cpu" if generator is None else generator.device
            order = torch.randperm(len(names), generator=generator, device=device).tolist()
            names = [names[index] for index in order]
            note("order", " ".join(names))
        for name in names:
            with inside(name):
                image = self.steps[name](image, generator)
        return image


class Sometimes(nn.Module):
    """Degrade an image with a probability; else it stays as it is.

    Args:
        degradation: Called as (image, generator).
        probability: From 0 to 1.

    Raises:
        ValueError: If the probability is none.
    """

    def __init__(self, degradation: nn.Module, probability: float = 0.5) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            raise ValueError(f"probability={probability} must be from 0 to 1.")
        self.degradation, self.probability = degradation, probability

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h2 w2"]:
        """Map images in [0, 1]; all of them or none."""
        if happens(generator, self.probability):
            degraded: Tensor = self.degradation(clean, generator)
            return degraded
        note("skipped", "yes")
        return clean


class OneOf(nn.Module):
    """Degrade an image in one of several ways.

    Args:
        ways: Name → degradation.
        weights: Name → how often, in proportion; None is all equally often.

    Raises:
        ValueError: If there is no way, or the weights are not those of the ways.
    """

    def __init__(
        self, ways: Mapping[str, nn.Module], weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__()
        self.ways = nn.ModuleDict(dict(ways))
        equal = dict.fromkeys(ways, 1.0)
        self.weights = check_weights("weights", equal if weights is None else weights, [*ways])

    def forward(
        self, clean: Float[Tensor, "b c h w"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b c h2 w2"]:
        """Map images in [0, 1]; all of them in the same way."""
        way = choose(generator, self.weights, "way")
        with inside(way):
            degraded: Tensor = self.ways[way](clean, generator)
        return degraded
