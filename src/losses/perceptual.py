"""Distance between features of VGG-19, whose weights are a local file."""

import pickle

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.errors import ConfigError
from src.core.paths import from_root

_BLOCKS = (2, 2, 4, 4, 4)  # convolutions between poolings (Simonyan and Zisserman, 2015, column E)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the images it was trained on
_LEAST = 16  # pixels that four halvings leave one of
_HELP = (
    "the weights of torchvision's VGG-19 (574 MB), loss.perceptual_file=<file>. Fetch them once:  "
    "curl -LO https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
)


class PerceptualLoss(nn.Module):
    """L1 between the features of conv5_4 before its ReLU (ESRGAN, arXiv:1809.00219, Sec. 3.2).

    The network does not learn, and is in no checkpoint. Grey images are repeated to three channels.

    Args:
        file: Weights under torchvision's names, ``features.0.weight`` and so on.

    Raises:
        ConfigError: If the file is not given, not there, or another.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, file: str | None) -> None:
        super().__init__()
        if file is None or not from_root(file).is_file():
            given = "no file" if file is None else f"{file} is not there"
            raise ConfigError(f"loss.terms.perceptual: {given}; it needs {_HELP}")
        try:
            # src.weights lies above; nothing in the file can run code here either.
            weights = torch.load(from_root(file), map_location="cpu", weights_only=True)  # noqa: TID251
            layer = 0
            for block, count in enumerate(_BLOCKS):
                for index in range(count):
                    for part in ("weight", "bias"):
                        tensor = weights[f"features.{layer}.{part}"].float()
                        self.register_buffer(f"{part}_{block}_{index}", tensor, persistent=False)
                    layer += 2  # a ReLU stands between
                layer += 1  # a pooling
        except (KeyError, AttributeError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
            raise ConfigError(f"{file} is not what loss.terms.perceptual needs: {_HELP}") from error
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def forward(
        self, restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, ""]:
        """Return the mean over all features; ConfigError if patches are smaller than 16 pixels."""
        if min(target.shape[-2:]) < _LEAST:
            raise ConfigError(f"loss.terms.perceptual needs patches of {_LEAST} pixels or more.")
        with torch.no_grad():
            wanted = self._features(target)
        return F.l1_loss(self._features(restored), wanted)

    def _features(self, image: Tensor) -> Tensor:
        features = (image.expand(-1, 3, -1, -1) - self.mean) / self.std
        for block, count in enumerate(_BLOCKS):
            features = F.max_pool2d(features, 2) if block else features
            for index in range(count):
                weight = self.get_buffer(f"weight_{block}_{index}")
                bias = self.get_buffer(f"bias_{block}_{index}")
                # ReLU before each convolution but the first: the last one's result stays signed.
                features = features if block == index == 0 else features.relu()
                features = F.conv2d(features, weight, bias, padding=1)
        return features
