"""Several losses at once: named terms, each with its weight."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from src.core.errors import ConfigError, did_you_mean
from src.losses.adversarial import AdversarialLoss
from src.losses.charbonnier import CharbonnierLoss
from src.losses.perceptual import PerceptualLoss

_SSIM_SIDE, _MS_SSIM_SIDE = 11, 161  # pixels: the window; the window after four halvings


class WeightedSum(nn.Module):
    """Sum of named losses, each times its weight; those of weight 0 are not computed.

    Args:
        terms: Name → weight: l1, l2, charbonnier, ssim, ms_ssim, tv, fft, gradient, perceptual,
            adversarial.
        perceptual_file: The weights of VGG-19 for the term ``perceptual``.
        adversarial: The loss for the term ``adversarial``, with its discriminator.

    Attributes:
        latest: Of the last call, name → the term's value before it is weighted; logged.

    Raises:
        ConfigError: If a name is unknown, a weight negative or none positive, or the file is not
            there.
    """

    def __init__(
        self,
        terms: Mapping[str, float],
        *,
        perceptual_file: str | None = None,
        adversarial: AdversarialLoss | None = None,
    ) -> None:
        super().__init__()
        kinds: dict[str, Callable[[], nn.Module]] = {
            "l1": nn.L1Loss,
            "l2": nn.MSELoss,
            "charbonnier": CharbonnierLoss,
            "ssim": SsimLoss,
            "ms_ssim": MultiScaleSsimLoss,
            "tv": TotalVariation,
            "fft": SpectrumLoss,
            "gradient": GradientLoss,
            "perceptual": lambda: PerceptualLoss(perceptual_file),
            "adversarial": lambda: _given(adversarial),
        }
        for name, weight in terms.items():
            if name not in kinds:
                raise ConfigError(f"loss.terms: no {name!r}. {did_you_mean(name, kinds)}")
            if not weight >= 0:
                raise ConfigError(f"loss.terms.{name}={weight} must be at least 0.")
        self.weights = {name: weight for name, weight in terms.items() if weight}
        if not self.weights:
            raise ConfigError("loss.terms: all weights are 0; e.g. loss.terms.l1=1.")
        self.terms = nn.ModuleDict({name: kinds[name]() for name in self.weights})
        # Not a second name of the module, which would save it twice.
        learns = [term for term in self.terms.values() if isinstance(term, AdversarialLoss)]
        self._learning = tuple(learns)
        self.latest: dict[str, Tensor] = {}

    def forward(
        self, restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, ""]:
        """Return the weighted sum."""
        values = {name: term(restored, target) for name, term in self.terms.items()}
        self.latest = {name: value.detach() for name, value in values.items()}
        for term in self._learning:
            self.latest["discriminator"] = term.judged
        return torch.stack([self.weights[name] * value for name, value in values.items()]).sum()

    def check_patch(self, side: int, channels: int) -> None:
        """Refuse patches of ``side`` pixels that a discriminator cannot judge; ConfigError."""
        for term in self._learning:
            term.check_patch(side, channels)

    def after_backward(self) -> None:
        """Let what learns beside the network take its step."""
        for term in self._learning:
            term.after_backward()


def _given(adversarial: AdversarialLoss | None) -> AdversarialLoss:
    if adversarial is None:
        raise ConfigError(
            "loss.terms.adversarial needs a discriminator: take loss=adversarial, which has one."
        )
    return adversarial


class SsimLoss(nn.Module):
    """1 - SSIM (Wang et al., 2004, doi:10.1109/TIP.2003.819861), in torchmetrics' arithmetic."""

    def forward(
        self, restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, ""]:
        """Return the loss; ConfigError if patches are smaller than 11 pixels."""
        _check_side(target, _SSIM_SIDE, "ssim")
        score = structural_similarity_index_measure(restored, target, data_range=1.0)
        return 1 - torch.as_tensor(score)


class MultiScaleSsimLoss(nn.Module):
    """1 - MS-SSIM (Wang et al., 2003, doi:10.1109/ACSSC.2003.1292216), by torchmetrics."""

    def forward(
        self, restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, ""]:
        """Return the loss; ConfigError if patches are smaller than 161 pixels."""
        _check_side(target, _MS_SSIM_SIDE, "ms_ssim")
        return 1 - multiscale_structural_similarity_index_measure(restored, target, data_range=1.0)


def _check_side(target: Tensor, least: int, name: str) -> None:
    if min(target.shape[-2:]) < least:
        raise ConfigError(f"loss.terms.{name} needs patches of {least} pixels or more; raise "
                          "data.patch_size.")  # fmt: skip


class TotalVariation(nn.Module):
    """Mean absolute difference of neighbours, of the restored image alone (Rudin et al., 1992)."""

    def forward(
        self, restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, ""]:
        """Return the mean over rows plus that over columns."""
        return restored.diff(dim=-1).abs().mean() + restored.diff(dim=-2).abs().mean()


class GradientLoss(nn.Module):
    """L1 between the differences of neighbours: edges where the target has them."""

    def forward(
        self, restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, ""]:
        """Return the mean over rows plus that over columns."""
        return F.l1_loss(restored.diff(dim=-1), target.diff(dim=-1)) + F.l1_loss(
            restored.diff(dim=-2), target.diff(dim=-2)
        )


class SpectrumLoss(nn.Module):
    """Mean magnitude of the difference of both spectra (after Cho et al., 2021, arXiv:2108.05054).

    The transform is orthonormal, so that the loss does not grow with the patch.
    """

    def forward(
        self, restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, ""]:
        """Return the mean over all frequencies of all channels."""
        spectrum: Tensor = torch.fft.fft2(restored - target, norm="ortho")
        return spectrum.abs().mean()
