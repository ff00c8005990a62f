"""Published weights in, a file of ours out; or at once: `checkpoint=<file> architecture=<name>`.

The authors' tensors come into our networks strictly: by names and shapes as published.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from src.core.errors import CheckpointError, ConfigError, did_you_mean
from src.core.files import sha256
from src.core.origin import origin
from src.core.paths import from_root, with_home
from src.models.spandrel_net import recognise
from src.weights.foreign import read_weights
from src.weights.hub import hub_file, is_remote
from src.weights.network_file import write_network
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


SPANDREL = Layout(
    _describe_spandrel,
    lambda ours: {name: (name.removeprefix("net."),) for name in ours},
    select=_select_spandrel,
)
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


def known_architecture(name: object) -> str:
    """Return the name of a published network; ConfigError if there is none of that name."""
    if str(name) not in LAYOUTS:
        raise ConfigError(
            f"architecture={name}: no such published network. {did_you_mean(str(name), LAYOUTS)}"
        )
    return str(name)


def convert_file(source: Path, architecture: str, scale: int | None, output: Path) -> int:
    """Write the published weights of ``source`` under our names to ``output``.

    Args:
        source: The authors' file; a relative path is tried from the repository root too.
        architecture: A name in ``LAYOUTS``.
        scale: Where the file is for several, or does not tell.
        output: The .safetensors file, made or replaced.

    Returns:
        The number of parameters.

    Raises:
        CheckpointError: If the source is unusable or does not fit.
    """
    source = with_home(source)
    source = source if source.exists() else from_root(source)
    tensors: Mapping[str, Tensor] = read_weights(source)
    node, tensors, layout = describe_reference(tensors, architecture, scale)
    net = build_reference(node, tensors, layout)
    about = {
        **origin(),
        "architecture": architecture,
        "source": {"name": source.name, "sha256": sha256(source)},
    }
    write_network(output, net.state_dict(), node, about)
    return sum(parameter.numel() for parameter in net.parameters())


def with_published_weights(cfg: DictConfig) -> DictConfig:
    """Return the configuration of evaluate or predict with a checkpoint of ours.

    Where ``architecture`` is given, ``checkpoint`` is a file of published weights. It is converted
    into ``<output_root>/networks``, each time anew, so that it is never an older one's.

    Raises:
        ConfigError: If there is no such architecture, or not one file.
        CheckpointError: If the file is unusable or does not fit.
    """
    if cfg.architecture is None:
        return cfg
    architecture = known_architecture(cfg.architecture)
    if not isinstance(cfg.checkpoint, str):
        raise ConfigError(
            f"architecture={architecture} goes with one file of published weights: "
            "checkpoint=<file>; convert several with src.convert and give the results."
        )
    remote = is_remote(cfg.checkpoint)
    source, scale = hub_file(cfg.checkpoint) if remote else Path(cfg.checkpoint), _scale(cfg)
    folder = from_root(str(cfg.paths.output_root)) / "networks"
    output = folder / f"{source.stem}_{architecture}.safetensors"
    try:
        convert_file(source, architecture, None, output)
    except CheckpointError:
        if scale is None:
            raise
        output = folder / f"{source.stem}_{architecture}_x{scale}.safetensors"
        convert_file(source, architecture, scale, output)  # for several scales, or does not tell
    ready = cfg.copy()
    ready.checkpoint, ready.architecture = str(output), None
    return ready


def _scale(cfg: DictConfig) -> int | None:
    """Return the one scale that was asked for, or None."""
    asked = cfg.get("scale")
    if asked is None and cfg.get("task") is not None:
        asked = cfg.task.get("scale")
    if not isinstance(asked, int | None):
        raise ConfigError(f"scale={asked}: published weights are read for one scale, e.g. scale=2.")
    return asked


def describe_reference(
    tensors: Mapping[str, Tensor], architecture: str, scale: int | None = None
) -> tuple[Node, Mapping[str, Tensor], Layout]:
    """Return the network that ``tensors`` are those of, as in conf/model; its tensors; its layout.

    Args:
        tensors: By the authors' names. Depth, width and image channels, and mostly the scale, are
            read from them.
        architecture: A name in ``LAYOUTS``.
        scale: Where the tensors are for several scales or do not tell.

    Raises:
        CheckpointError: If the size of the network cannot be read from them, or ``scale`` is
            needed or another.
    """
    layout = LAYOUTS[architecture]
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
    """Build the network of ``node``, copy ``tensors`` into it, and set it to evaluation.

    Raises:
        CheckpointError: If they do not fit: every missing, unexpected and mis-shaped name is
            listed.
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
