"""PANet, PA-EDSR and CSNLN as published: size read from the tensors, and their tensors' names."""

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


def _panet_name(name: str) -> str:
    if name.startswith(("head.", "tail.")):
        return name.replace(".", ".0.", 1)
    if not name.startswith("trunk."):
        return name
    _, index, part, *leaf = name.split(".")
    part = {"min_norm": "escape_NaN", **_PYRAMID, **_RESIDUAL}.get(part, part)
    return ".".join(["body", index, part, *leaf])


def _pa_edsr_name(name: str) -> tuple[str, ...]:
    if name.startswith("upsampler."):
        return (name.replace("upsampler.", "tail.0.", 1),)
    if name.startswith("tail."):
        return (name.replace("tail.", "tail.1.", 1),)
    theirs = _panet_name(name)
    attention = re.fullmatch(r"body\.\d+\.((?:conv_|escape_NaN).*)", theirs)
    # The authors register the attention twice, and their code expects both sets.
    return (f"msa.{attention[1]}", theirs) if attention else (theirs,)


PANET = Layout(_describe_panet, lambda ours: {name: (_panet_name(name),) for name in ours})
PA_EDSR = Layout(_describe_pa_edsr, lambda ours: {name: _pa_edsr_name(name) for name in ours})


_FUSION = "multi_source_projection"
_PARTS = {
    "cross_scale.query": "up_attention.conv_match_1",
    "cross_scale.key": "up_attention.conv_match_2",
    "cross_scale.value": "up_attention.conv_assembly",
    "cross_scale.min_norm": "up_attention.escape_NaN",
    "in_scale.query": "down_attention.conv_match1",
    "in_scale.key": "down_attention.conv_match2",
    "in_scale.value": "down_attention.conv_assembly",
    "expand": "upsample",
    "encoder.conv1": "encoder.body.0",
    "encoder.activation": "encoder.body.1",
    "encoder.conv2": "encoder.body.2",
}
_STAGES = (
    {"enlarge": _FUSION, "shrink": "down_sample_1", "expand": "error_encode"},
    {"enlarge": f"{_FUSION}_2", "shrink": "down_sample_3", "expand": "error_encode_2"},
)


def _describe(tensors: Mapping[str, Tensor]) -> Node:
    """Return the network that the tensors are those of, as in conf/model."""
    enlarging = f"SEM.{_FUSION}.upsample.0.weight"
    head, tail, grown = shapes_of(tensors, "head.0.0.weight", "tail.0.weight", enlarging)
    channels, depth = head[0], tail[1] // max(1, head[0])
    if tail[1] == 0 or tail[1] % channels:
        raise wrong(
            f"tail.0.weight takes {tail[1]} channels; that must be depth times the {channels} of "
            "head.0.0.weight"
        )
    scale = {6: 2, 9: 3}.get(grown[2])
    if scale is None:
        raise wrong(f"{enlarging} has kernel {grown[2]}; CSNLN's have 6 (×2, ×4) or 9 (×3)")
    twice = any(name.startswith(f"SEM.{_FUSION}_2.") for name in tensors)
    return {
        "_target_": "src.models.backbones.csnln.CSNLN",
        "in_channels": head[1],
        "out_channels": tail[0],
        "scale": 4 if twice else scale,
        "channels": channels,
        "depth": depth,
    }


def _names(ours: Iterable[str]) -> Names:
    """Return the authors' name of each of our tensors."""
    names = list(ours)
    # Their third and fourth down-samplings belong to the ×4 network, which has no second.
    last = (
        "down_sample_4" if any(n.startswith("cell.stages.1.") for n in names) else "down_sample_2"
    )
    return {name: (_name(name, last),) for name in names}


def _name(name: str, last: str) -> str:
    if name.startswith("tail."):
        return name.replace("tail.", "tail.0.", 1)
    if not name.startswith("cell."):
        return name
    _, part, *rest = name.split(".")
    if part != "stages":
        return ".".join(["SEM", {"shrink": last, "post": "post_conv"}[part], *rest])
    stage, part, *rest = rest
    leaf = ".".join(rest)
    if part == "enlarge":
        ours = next(part for part in _PARTS if leaf == part or leaf.startswith(f"{part}."))
        leaf = _PARTS[ours] + leaf.removeprefix(ours)
    return f"SEM.{_STAGES[int(stage)][part]}.{leaf}"


CSNLN = Layout(_describe, _names)
