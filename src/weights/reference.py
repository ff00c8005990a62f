"""The authors' checkpoints: names and shapes as published, into our networks, strictly."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import Tensor, nn

from src.core.errors import CheckpointError, did_you_mean
from src.models.spandrel_net import recognise
from src.weights.foreign import read_weights, unwrap_weights
from src.weights.published.enlargers import CARN_M, FSRCNN, IMDN, VDSR
from src.weights.published.layout import Layout, Names, Node, wrong
from src.weights.published.panet import CSNLN, PA_EDSR, PANET
from src.weights.published.stacks import DEMOSAICNET, DNCNN, FFDNET


def _select_spandrel(tensors: Mapping[str, Tensor], scale: int | None) -> Mapping[str, Tensor]:
    """Return the tensors under spandrel's names, which may differ from those of the file."""
    state: dict[str, Tensor] = recognise(tensors).model.state_dict()
    return state


def _describe_spandrel(tensors: Mapping[str, Tensor]) -> Node:
    return {
        "_target_": "src.models.spandrel_net.SpandrelNet",
        "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
    }


def _spandrel_names(ours: Iterable[str]) -> Names:
    return {name: (name.removeprefix("net."),) for name in ours}


SPANDREL = Layout(_describe_spandrel, _spandrel_names, select=_select_spandrel)
"""Networks that the package spandrel recognises: its names, kept."""

LAYOUTS: dict[str, Layout] = {
    "panet": PANET,
    "pa_edsr": PA_EDSR,
    "csnln": CSNLN,
    "carn_m": CARN_M,
    "demosaicnet": DEMOSAICNET,
    "dncnn": DNCNN,
    "ffdnet": FFDNET,
    "fsrcnn": FSRCNN,
    "imdn": IMDN,
    "vdsr": VDSR,
    "spandrel": SPANDREL,
}
"""The published networks whose weights can be read, by the name that `architecture=` takes."""


def load_reference_weights(
    source: str | Path | Mapping[str, Tensor], architecture: str, scale: int | None = None
) -> nn.Module:
    """Return the published network with the weights of ``source``, in evaluation mode.

    Args:
        source: A file as :func:`read_weights` takes it, in the authors' layout, or its state dict.
        architecture: A name in ``LAYOUTS``. Depth, width and image channels, and mostly the scale,
            are read from the tensors.
        scale: Where the tensors are for several scales or do not tell.

    Raises:
        CheckpointError: If the file is unusable, or the tensors do not fit: every missing,
            unexpected and mis-shaped name is listed.
    """
    _layout(architecture)  # a wrong name is refused before a file is read
    if isinstance(source, str | Path):
        tensors = read_weights(Path(source))
    else:
        tensors = unwrap_weights(source, "The state dict")
    return build_reference(*describe_reference(tensors, architecture, scale))


def describe_reference(
    tensors: Mapping[str, Tensor], architecture: str, scale: int | None = None
) -> tuple[Node, Mapping[str, Tensor], Layout]:
    """Return the network that ``tensors`` are those of, as in conf/model; its tensors; its layout.

    Raises:
        CheckpointError: If the size of the network cannot be read from them, or ``scale`` is
            needed or another.
    """
    layout = _layout(architecture)
    tensors = layout.select(tensors, scale)
    node = layout.describe(tensors)
    if layout.scales:
        if scale not in layout.scales:
            choices = " or ".join(f"scale={each}" for each in layout.scales)
            raise CheckpointError(f"The tensors of {architecture} do not tell the scale: "
                                  f"add {choices}, that of the file.")  # fmt: skip
        node["scale"] = scale
    elif scale not in {None, node.get("scale", 1)}:
        raise wrong(f"they are of scale {node.get('scale', 1)}, not scale={scale}")
    return node, tensors, layout


def build_reference(node: Node, tensors: Mapping[str, Tensor], layout: Layout) -> nn.Module:
    """Build the network of ``node`` and copy ``tensors`` into it.

    Raises:
        CheckpointError: If they do not fit.
    """
    try:
        net: nn.Module = instantiate(node, _convert_="all")
    except InstantiationException as error:  # sizes that no network of the class has
        raise CheckpointError(f"The tensors do not fit: {error.__cause__ or error}") from error
    state = net.state_dict()
    names = layout.names(state)
    _check_fit(state, names, tensors)
    theirs = {name: next(n for n in names[name] if n in tensors) for name in state}
    net.load_state_dict({name: tensors[source] for name, source in theirs.items()})
    return net.eval()


def to_reference_weights(net: nn.Module, architecture: str) -> dict[str, Tensor]:
    """Return the state dict of ``net`` under the authors' names, readable by their code.

    What they store twice is there twice.
    """
    state = net.state_dict()
    names = _layout(architecture).names(state)
    return {theirs: tensor for name, tensor in state.items() for theirs in names[name]}


def _layout(architecture: str) -> Layout:
    if architecture not in LAYOUTS:
        raise CheckpointError(
            f"No published network is called {architecture!r}. "
            f"{did_you_mean(architecture, LAYOUTS)}"
        )
    return LAYOUTS[architecture]


def _check_fit(state: Mapping[str, Tensor], names: Names, given: Mapping[str, Tensor]) -> None:
    problems = [
        f"missing: {' or '.join(names[ours])} {_shape(tensor)}"
        for ours, tensor in state.items()
        if not any(name in given for name in names[ours])
    ]
    known = {name for theirs in names.values() for name in theirs}
    problems += [
        f"unexpected: {name} {_shape(t)}" for name, t in given.items() if name not in known
    ]
    for ours, tensor in state.items():
        problems += _misfits(tensor, {name: given[name] for name in names[ours] if name in given})
    if problems:
        raise CheckpointError(
            f"The tensors do not fit ({len(problems)} names):\n  " + "\n  ".join(problems)
        )


def _misfits(tensor: Tensor, given: Mapping[str, Tensor]) -> list[str]:
    problems = [
        f"mis-shaped: {name} is {_shape(value)}, must be {_shape(tensor)}"
        for name, value in given.items()
        if value.shape != tensor.shape
    ]
    first, *copies = given.items() or [("", tensor)]
    if not problems:
        problems = [
            f"contradictory: {name} differs from {first[0]}, though both are one tensor"
            for name, value in copies
            if not torch.equal(value, first[1])
        ]
    return problems


def _shape(tensor: Tensor) -> str:
    return "×".join(str(size) for size in tensor.shape) or "scalar"
