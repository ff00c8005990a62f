"""Published weights as a network in memory, and a network of ours under the authors' names."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from src.weights.conversion import LAYOUTS, build_reference, describe_reference
from src.weights.foreign import read_weights, unwrap_weights


def load_reference_weights(
    source: str | Path | Mapping[str, Tensor], architecture: str, scale: int | None = None
) -> nn.Module:
    """Return the published network with the weights of a file or of a state dict."""
    if isinstance(source, str | Path):
        tensors = read_weights(Path(source))
    else:
        tensors = unwrap_weights(source, "The state dict")
    return build_reference(*describe_reference(tensors, architecture, scale))


def to_reference_weights(net: nn.Module, architecture: str) -> dict[str, Tensor]:
    """Return the state dict of ``net`` under the authors' names; what they store twice, twice."""
    state = net.state_dict()
    names = LAYOUTS[architecture].names(state)
    return {theirs: tensor for name, tensor in state.items() for theirs in names[name]}
