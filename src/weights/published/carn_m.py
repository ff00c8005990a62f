"""CARN-M as published: one file for ×2, ×3 and ×4, or for one of them."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from src.core.errors import CheckpointError
from src.weights.published.layout import Layout, Names, Node, numbers, renamed
from src.weights.published.sizes import shapes_of, wrong

_ONE = "upsample.up."
_OF_SCALE = re.compile(r"upsample\.up(\d)\.")


def _select(tensors: Mapping[str, Tensor], scale: int | None) -> Mapping[str, Tensor]:
    """Return the tensors of one scale, as the authors call them where there is only one.

    Raises:
        CheckpointError: If the file has several scales and none of them is chosen.
    """
    scales = sorted({int(match[1]) for name in tensors if (match := _OF_SCALE.match(name))})
    if not scales:
        return tensors
    if scale not in scales:
        given = "" if scale is None else f", not scale={scale}"
        choices = " or ".join(f"scale={held}" for held in scales)
        raise CheckpointError(f"The file has an upsampler each for several scales: add {choices}"
                              f"{given}.")  # fmt: skip
    own = f"upsample.up{scale}."
    return {
        name.replace(own, _ONE): tensor
        for name, tensor in tensors.items()
        if name.startswith(own) or not _OF_SCALE.match(name)
    }


def _describe(tensors: Mapping[str, Tensor]) -> Node:
    blocks = len(numbers(tensors, r"b(\d+)\.b1\.body\.0\.weight", "b<number>.b1.body.0.weight"))
    first = f"{_ONE}body.0.weight"
    head, tail, grown = shapes_of(tensors, "entry.weight", "exit.weight", first)
    (unit,) = shapes_of(tensors, "b1.b1.body.0.weight")
    side = {4: 2, 9: 3}.get(grown[0] // head[0])
    if side is None or grown[0] % head[0] or unit[1] == 0:
        raise wrong(f"{first} makes {grown[0]} of {head[0]} channels, not 4 or 9 times as many")
    return {
        "_target_": "src.models.backbones.carn_m.CARNM",
        "in_channels": head[1],
        "out_channels": tail[0],
        "scale": 4 if f"{_ONE}body.3.weight" in tensors else side,
        "channels": head[0],
        "blocks": blocks,
        "groups": head[0] // unit[1],
        "attention_sites": [],
    }


def _names(ours: Iterable[str]) -> Names:
    return renamed(
        ours,
        (
            (r"(sub|add)_mean\.", r"\1_mean.shifter."),
            (r"head\.", "entry."),
            (r"trunk\.(\d+)\.unit\.", lambda m: f"b{int(m[1]) + 1}.b1.body."),
            (
                r"trunk\.(\d+)\.joins\.(\d+)\.0\.",
                lambda m: f"b{int(m[1]) + 1}.c{int(m[2]) + 1}.body.0.",
            ),
            (r"joins\.(\d+)\.0\.", lambda m: f"c{int(m[1]) + 1}.body.0."),
            (r"upsampler\.", f"{_ONE}body."),
            (r"tail\.", "exit."),
        ),
    )


CARN_M = Layout(_describe, _names, select=_select)
