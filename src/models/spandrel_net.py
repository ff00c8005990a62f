"""Any network that the package spandrel knows, behind the contract of our backbones."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.core.errors import CheckpointError, ConfigError


class SpandrelNet(nn.Module):
    """A network recognised by its tensors alone; its weights are loaded like any other's.

    It is no choice of ``model=``: without a weight file there is nothing to recognise. It comes
    from ``python -m src.convert architecture=spandrel``.

    Args:
        shapes: Name → shape of the tensors, as spandrel orders and names them.

    Raises:
        ConfigError: If spandrel is not installed.
        CheckpointError: If spandrel knows no image network with such tensors, or it takes square
            images only.
    """

    global_context = False  # whole images, unless the user asks for tiles

    def __init__(self, shapes: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        zeros = {name: torch.zeros(tuple(shape)) for name, shape in shapes.items()}
        self._call = recognise(zeros)
        self.net: nn.Module = self._call.model
        sizes = self._call.size_requirements
        if sizes.square:
            raise CheckpointError(f"{self._call.architecture.name} takes square images only.")
        self.scale, self.min_size = int(self._call.scale), max(1, int(sizes.minimum))
        self.multiple_of = int(sizes.multiple_of)
        self.in_channels = int(self._call.input_channels)
        self.out_channels = int(self._call.output_channels)

    def forward(self, degraded: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Restore ``degraded``, in [0, 1]; in training not clamped, and with its gradient."""
        # A copy: some of them (RCAN) multiply their input in place.
        restored: Tensor = (self.net if torch.is_grad_enabled() else self._call)(degraded.clone())
        return restored


def recognise(tensors: Mapping[str, Tensor]) -> Any:  # noqa: ANN401
    """Return spandrel's description of the network with these tensors, the network in it.

    Raises:
        ConfigError: If spandrel is not installed.
        CheckpointError: If it knows no network from one image to one image with such tensors.
    """
    try:
        package = importlib.import_module("spandrel")
    except (ImportError, RuntimeError) as error:  # the latter: torchvision of another build
        raise ConfigError(
            "architecture=spandrel needs the packages spandrel and torchvision, which are not "
            f"installed or not of one build with torch ({error}): pip install 'exemplar[spandrel]' "
            "-c constraints.txt."
        ) from error
    try:
        description = package.ModelLoader().load_from_state_dict(dict(tensors))
    except (package.UnsupportedModelError, KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            "spandrel knows no network with such tensors; the names of those that this project "
            "reads itself are in  python -m src.convert --help"
        ) from error
    if not isinstance(description, package.ImageModelDescriptor):
        raise CheckpointError(
            f"{description.architecture.name} does not map one image to one image (it takes a "
            "mask)."
        )
    return description
