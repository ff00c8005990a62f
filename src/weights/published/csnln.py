"""CSNLN as published: its size read from the tensors alone, and its tensors' names."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from src.weights.published.layout import Layout, Names, Node, shapes_of, wrong

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
    """Return the network that the tensors are those of, as in conf/model.

    Raises:
        CheckpointError: If the tensors are no CSNLN's.
    """
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
