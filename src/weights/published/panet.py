"""PANet and PA-EDSR as published: their size read from the tensors, and their tensors' names."""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from src.weights.published.layout import Layout, Names, Node, shapes_of, wrong

_PYRAMID = {"query": "conv_match_L_base", "key": "conv_match", "value": "conv_assembly"}
_RESIDUAL = {"conv1": "body.0", "activation": "body.1", "conv2": "body.2"}


def _describe_panet(tensors: Mapping[str, Tensor]) -> Node:
    blocks = _blocks(tensors, "PANet")
    middle = f"body.{blocks // 2}.conv_match.0.weight"
    head, tail, match = shapes_of(tensors, "head.0.weight", "tail.0.weight", middle)
    slopes = [
        tensors[name] for name in tensors if re.fullmatch(r"body\.\d+\.body\.1\.weight", name)
    ]
    return {
        "_target_": "src.models.backbones.panet.PANet",
        "in_channels": head[1],
        "out_channels": tail[0],
        "channels": head[0],
        "blocks": blocks,
        "shared_activation": all(torch.equal(slope, slopes[0]) for slope in slopes),
        "attention": _pyramid(head[0], match[0], middle, residual_scale=1.0),
    }


def _describe_pa_edsr(tensors: Mapping[str, Tensor]) -> Node:
    blocks = _blocks(tensors, "PA-EDSR")
    middle = "msa.conv_match.0.weight"
    if middle not in tensors:
        middle = f"body.{blocks // 2}.conv_match.0.weight"
    first = "tail.0.0.weight"
    head, tail, grown, match = shapes_of(tensors, "head.0.weight", "tail.1.weight", first, middle)
    steps = len([name for name in tensors if re.fullmatch(r"tail\.0\.\d+\.weight", name)])
    side = {4: 2, 9: 3}.get(grown[0] // head[0])
    if side is None or grown[0] % head[0]:
        raise wrong(f"{first} makes {grown[0]} of {head[0]} channels, not 4 or 9 times as many")
    return {
        "_target_": "src.models.backbones.edsr.EDSR",
        "in_channels": head[1],
        "out_channels": tail[0],
        "scale": side**steps,
        "channels": head[0],
        "blocks": blocks,
        "residual_scale": 0.1,  # not in the tensors; that of every published PA-EDSR
        "attention": _pyramid(head[0], match[0], middle, residual_scale=0.1),
    }


def _blocks(tensors: Mapping[str, Tensor], what: str) -> int:
    indices = [int(m.group(1)) for name in tensors if (m := re.match(r"body\.(\d+)\.", name))]
    if not indices:
        raise wrong(f"none is called body.<number>, as those of a {what} are")
    blocks = max(indices) - 1  # body.0 … body.<blocks> and the last convolution
    if blocks < 0 or blocks % 2:
        raise wrong(
            f"their last body index is {blocks + 1}, which would mean {blocks} residual blocks; "
            f"a {what} has an even number of them"
        )
    return blocks


def _pyramid(channels: int, match: int, name: str, *, residual_scale: float) -> Node:
    if match == 0 or channels % match:
        raise wrong(
            f"{name} has {match} channels, which do not divide the {channels} of head.0.weight"
        )
    return {
        "_target_": "src.models.attention.pyramid.PyramidAttention",
        "_partial_": True,
        "reduction": channels // match,
        "residual_scale": residual_scale,
    }


def _panet_names(ours: Iterable[str]) -> Names:
    return {name: (_panet_name(name),) for name in ours}


def _panet_name(name: str) -> str:
    if name.startswith(("head.", "tail.")):
        return name.replace(".", ".0.", 1)
    if not name.startswith("trunk."):
        return name
    _, index, part, *leaf = name.split(".")
    part = {"min_norm": "escape_NaN", **_PYRAMID, **_RESIDUAL}.get(part, part)
    return ".".join(["body", index, part, *leaf])


def _pa_edsr_names(ours: Iterable[str]) -> Names:
    return {name: _pa_edsr_name(name) for name in ours}


def _pa_edsr_name(name: str) -> tuple[str, ...]:
    if name.startswith("upsampler."):
        return (name.replace("upsampler.", "tail.0.", 1),)
    if name.startswith("tail."):
        return (name.replace("tail.", "tail.1.", 1),)
    theirs = _panet_name(name)
    attention = re.fullmatch(r"body\.\d+\.((?:conv_|escape_NaN).*)", theirs)
    # The authors register the attention twice, and their code expects both sets.
    return (f"msa.{attention[1]}", theirs) if attention else (theirs,)


PANET = Layout(_describe_panet, _panet_names)
PA_EDSR = Layout(_describe_pa_edsr, _pa_edsr_names)
