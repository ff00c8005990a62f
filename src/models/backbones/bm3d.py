"""BM3D (Dabov et al., 2007, doi:10.1109/TIP.2007.901238): the denoiser before learned ones."""

import importlib
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from src.core.errors import ConfigError
from src.models.backbones import BACKBONES, Backbone

_SETTINGS_2007 = {"lambda_thr3d": 2.7, "mu2": 1.0, "gamma": 0.0, "tau_match": 2500}
"""The paper's Table I: a threshold of 2.7 σ, and no correction for the noise in distances."""


@BACKBONES.register(paper="Dabov et al., 2007, doi:10.1109/TIP.2007.901238", cost="O(n)")
class BM3D(Backbone):
    """Denoise by collaborative filtering of similar patches, with the authors' own package.

    Three channels go through CBM3D: patches are matched in luma (doi:10.1109/ICIP.2007.4378954).
    There is nothing to train and no gradient. The package, the extra ``bm3d``, is binary and free
    for research only, and takes about 15 s of one core for an image of 481×321 pixels.

    Args:
        out_channels: Image channels returned, 1 or 3. One more is expected: the noise level σ/255
            at every pixel, of which the mean is taken.
        profile: ``2007`` has the thresholds of the paper, on which published rows rest; ``package``
            those that the package works out by itself (Mäkinen et al., 2020,
            doi:10.1109/TIP.2020.3014721), about 0.15 dB above.

    Raises:
        ValueError: If there are neither one nor three image channels, or for another profile.
    """

    min_size = 16  # two patches
    global_context = False  # patches are sought within 39 pixels

    def __init__(
        self, out_channels: int = 3, *, profile: Literal["2007", "package"] = "2007"
    ) -> None:
        if out_channels not in {1, 3}:
            raise ValueError(f"BM3D takes 1 or 3 image channels, not {out_channels}.")
        if profile not in {"2007", "package"}:
            raise ValueError(f"profile={profile!r} is unknown; take 2007 or package.")
        super().__init__(out_channels + 1, out_channels)
        self.profile = profile

    @torch.no_grad()
    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Restore ``degraded``, in [0, 1] and its noise level; on the CPU, in float64.

        Raises:
            ConfigError: If the package is not installed, or there is no noise level.
        """
        package = _package()
        if degraded.shape[1] != self.in_channels:
            raise ConfigError(
                f"model=bm3d needs the noise level beside {self.out_channels} image channels, "
                f"{self.in_channels} in all, not {degraded.shape[1]}; it is for task=denoise."
            )
        filtered = package.bm3d_rgb if self.out_channels == 3 else package.bm3d
        settings = package.BM3DProfile()
        if self.profile == "2007":
            for name, value in _SETTINGS_2007.items():
                setattr(settings, name, value)
        restored = []
        for image in degraded.double().cpu():
            # Read first: whoever traces the shapes learns here that values are needed.
            sigma = float(image[-1].mean())
            # The package searches along memory, so its result depends on the layout.
            noisy = image[:-1].permute(1, 2, 0).squeeze(-1).contiguous().numpy()
            clean = np.atleast_3d(filtered(noisy, sigma, settings))
            restored.append(torch.from_numpy(clean.copy()).permute(2, 0, 1))
        return torch.stack(restored).to(degraded)


def _package() -> Any:  # noqa: ANN401
    """Return the optional package ``bm3d``, which has no types."""
    try:
        return importlib.import_module("bm3d")
    except ImportError as error:
        raise ConfigError(
            "model=bm3d needs the package bm3d (free for research only), which is not installed: "
            "pip install 'exemplar[bm3d]', or pip install bm3d."
        ) from error
