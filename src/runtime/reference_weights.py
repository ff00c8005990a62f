"""The authors' checkpoints: names and shapes as published, into our networks, strictly."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from src.core.errors import CheckpointError, did_you_mean
from src.models.attention.pyramid import PyramidAttention
from src.models.backbones.panet import PANet
from src.runtime.atomic_io import read, state_dict_of

_PYRAMID = {"query": "conv_match_L_base", "key": "conv_match", "value": "conv_assembly"}
_RESIDUAL = {"conv1": "body.0", "activation": "body.1", "conv2": "body.2"}


@dataclass(frozen=True)
class Architecture:
    """How one published network is recognised and named.

    Attributes:
        build: Makes the network from the tensors alone (depth, width, channels).
        to_reference: Turns the name of our tensor into the authors'.
    """

    build: Callable[[Mapping[str, Tensor]], nn.Module]
    to_reference: Callable[[str], str]


def load_reference_weights(
    source: str | Path | Mapping[str, Tensor], architecture: str
) -> nn.Module:
    """Return the published network with the weights of ``source``, in evaluation mode.

    Args:
        source: A file in the authors' layout (zip or legacy format) or its state dict.
        architecture: ``panet``.

    Raises:
        CheckpointError: If the file is unusable, or the tensors do not fit: every missing,
            unexpected and mis-shaped name is listed.
    """
    if architecture not in ARCHITECTURES:
        raise CheckpointError(
            f"No published network is called {architecture!r}. "
            f"{did_you_mean(architecture, ARCHITECTURES)}"
        )
    if isinstance(source, str | Path):
        path = Path(source)
        tensors: Mapping[str, Tensor] = state_dict_of(read(path), path)
    else:
        tensors = source
    known = ARCHITECTURES[architecture]
    net = known.build(tensors)
    state = net.state_dict()
    _check_fit({known.to_reference(name): tensor for name, tensor in state.items()}, tensors)
    net.load_state_dict({name: tensors[known.to_reference(name)] for name in state})
    return net.eval()


def to_reference_weights(net: nn.Module, architecture: str) -> dict[str, Tensor]:
    """Return the state dict of ``net`` under the authors' names, readable by their code."""
    rename = ARCHITECTURES[architecture].to_reference
    return {rename(name): tensor for name, tensor in net.state_dict().items()}


def _check_fit(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    problems = [f"missing: {name} {_shape(t)}" for name, t in expected.items() if name not in given]
    problems += [
        f"unexpected: {name} {_shape(t)}" for name, t in given.items() if name not in expected
    ]
    problems += [
        f"mis-shaped: {name} is {_shape(given[name])}, must be {_shape(tensor)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if problems:
        raise CheckpointError(
            f"The tensors do not fit ({len(problems)} names):\n  " + "\n  ".join(problems)
        )


def _shape(tensor: Tensor) -> str:
    return "×".join(str(size) for size in tensor.shape) or "scalar"


def _need(tensors: Mapping[str, Tensor], *names: str) -> list[torch.Size]:
    missing = [name for name in names if name not in tensors]
    if missing:
        raise CheckpointError(
            f"The tensors do not fit: missing {', '.join(missing)}, from which the size of the "
            "network is read. Is this the right architecture?"
        )
    return [tensors[name].shape for name in names]


def _build_panet(tensors: Mapping[str, Tensor]) -> nn.Module:
    indices = [int(m.group(1)) for name in tensors if (m := re.match(r"body\.(\d+)\.", name))]
    blocks = max(indices, default=0) - 1  # body.0 … body.<blocks> and the last convolution
    if blocks < 0 or blocks % 2:
        raise CheckpointError(
            f"The tensors do not fit: their last body index is {blocks + 1}, which would mean "
            f"{blocks} residual blocks; a PANet has an even number of them."
        )
    middle = f"body.{blocks // 2}.conv_match.0.weight"
    head, tail, match = _need(tensors, "head.0.weight", "tail.0.weight", middle)
    channels = head[0]
    if match[0] == 0 or channels % match[0]:
        raise CheckpointError(
            f"The tensors do not fit: {middle} has {match[0]} channels, which do not divide "
            f"the {channels} of head.0.weight."
        )
    slopes = [
        tensors[name] for name in tensors if re.fullmatch(r"body\.\d+\.body\.1\.weight", name)
    ]
    return PANet(
        head[1],
        tail[0],
        channels=channels,
        blocks=blocks,
        attention=lambda width: PyramidAttention(width, reduction=channels // match[0]),
        shared_activation=all(torch.equal(slope, slopes[0]) for slope in slopes),
    )


def _panet_name(name: str) -> str:
    """Return the authors' name of a tensor of our PANet."""
    if name.startswith(("head.", "tail.")):
        return name.replace(".", ".0.", 1)
    if not name.startswith("trunk."):
        return name
    _, index, *rest = name.split(".")
    part, *leaf = rest
    if part == "min_norm":
        return f"body.{index}.escape_NaN"
    part = _PYRAMID.get(part) or _RESIDUAL.get(part) or part
    return ".".join(["body", index, part, *leaf])


ARCHITECTURES: dict[str, Architecture] = {"panet": Architecture(_build_panet, _panet_name)}
