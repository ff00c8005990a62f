"""Networks that the package spandrel recognises: its names, kept."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from src.models.spandrel_net import recognise
from src.weights.published.layout import Layout, Names, Node


def _select(tensors: Mapping[str, Tensor], scale: int | None) -> Mapping[str, Tensor]:
    """Return the tensors under spandrel's names, which may differ from those of the file."""
    state: dict[str, Tensor] = recognise(tensors).model.state_dict()
    return state


def _describe(tensors: Mapping[str, Tensor]) -> Node:
    return {
        "_target_": "src.models.spandrel_net.SpandrelNet",
        "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
    }


def _names(ours: Iterable[str]) -> Names:
    return {name: (name.removeprefix("net."),) for name in ours}


SPANDREL = Layout(_describe, _names, select=_select)
