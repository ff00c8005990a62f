"""IMDN, VDSR, FSRCNN and CARN-M as published: size, read from the tensors, and tensors' names.

CARN-M has one file for ×2, ×3 and ×4, or for one of them.
"""

import math
import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from src.core.errors import CheckpointError
from src.weights.published.layout import Layout, Names, Node, numbers, renamed, shapes_of, wrong


def _describe_imdn(tensors: Mapping[str, Tensor]) -> Node:
    blocks = len(numbers(tensors, r"IMDB(\d+)\.c1\.weight", "IMDB<number>.c1.weight"))
    head, tail = shapes_of(tensors, "fea_conv.weight", "upsampler.0.weight")
    scale = math.isqrt(tail[0] // head[1])
    if tail[0] != head[1] * scale**2:
        raise wrong(
            f"upsampler.0.weight makes {tail[0]} channels, no square multiple of the {head[1]} "
            "that fea_conv.weight takes"
        )
    return {
        "_target_": "src.models.backbones.imdn.IMDN",
        "in_channels": head[1],
        "out_channels": head[1],
        "scale": scale,
        "channels": head[0],
        "blocks": blocks,
        "attention_sites": [],
    }


def _imdn_names(ours: Iterable[str]) -> Names:
    return renamed(
        ours,
        (
            (r"head\.", "fea_conv."),
            (r"trunk\.(\d+)\.conv([1-4])\.", lambda m: f"IMDB{int(m[1]) + 1}.c{m[2]}."),
            (r"trunk\.(\d+)\.join\.", lambda m: f"IMDB{int(m[1]) + 1}.c5."),
            (r"trunk\.(\d+)\.gate\.layers\.", lambda m: f"IMDB{int(m[1]) + 1}.cca.conv_du."),
            (r"join\.", "c.0."),
            (r"smooth\.", "LR_conv."),
            (r"tail\.", "upsampler.0."),
        ),
    )


def _describe_vdsr(tensors: Mapping[str, Tensor]) -> Node:
    pattern = r"residual_layer\.(\d+)\.conv\.weight"
    blocks = len(numbers(tensors, pattern, "residual_layer.<number>.conv.weight"))
    head, tail = shapes_of(tensors, "input.weight", "output.weight")
    return {
        "_target_": "src.models.backbones.vdsr.VDSR",
        "in_channels": head[1],
        "out_channels": tail[0],
        "channels": head[0],
        "blocks": blocks,
        "attention_sites": [],
    }


def _vdsr_names(ours: Iterable[str]) -> Names:
    rules = (
        (r"head\.0\.", "input."),
        (r"trunk\.(\d+)\.0\.", r"residual_layer.\1.conv."),
        (r"tail\.", "output."),
    )
    return renamed(ours, rules)


def _describe_fsrcnn(tensors: Mapping[str, Tensor]) -> Node:
    parts = numbers(tensors, r"mid_part\.(\d+)\.weight", "mid_part.<number>.weight")
    head, tail = shapes_of(tensors, "first_part.0.weight", "last_part.weight")
    (shrunk,) = shapes_of(tensors, "mid_part.0.weight")
    return {
        "_target_": "src.models.backbones.fsrcnn.FSRCNN",
        "in_channels": head[1],
        "out_channels": tail[1],
        "channels": shrunk[0],
        "outer_channels": head[0],
        "blocks": len(parts) // 2 - 2,  # pairs of convolution and PReLU; two change the width
        "attention_sites": [],
    }


def _fsrcnn_names(ours: Iterable[str]) -> Names:
    names = list(ours)
    last = 2 * len(numbers(names, r"trunk\.(\d+)\.0\.weight", "trunk.<number>.0.weight")) + 2
    return renamed(
        names,
        (
            (r"head\.", "first_part."),
            (r"shrink\.", "mid_part."),
            (r"trunk\.(\d+)\.(\d)\.", lambda m: f"mid_part.{2 * int(m[1]) + 2 + int(m[2])}."),
            (r"expand\.(\d)\.", lambda m: f"mid_part.{last + int(m[1])}."),
            (r"tail\.", "last_part."),
        ),
    )


_ONE = "upsample.up."
_OF_SCALE = re.compile(r"upsample\.up(\d)\.")


def _select_carn_m(tensors: Mapping[str, Tensor], scale: int | None) -> Mapping[str, Tensor]:
    """Return the tensors of one scale, as the authors call them where there is only one."""
    scales = sorted({int(match[1]) for name in tensors if (match := _OF_SCALE.match(name))})
    if not scales:
        return tensors
    if scale not in scales:
        given = "" if scale is None else f", not scale={scale}"
        choices = " or ".join(f"scale={each}" for each in scales)
        raise CheckpointError(f"The file has an upsampler each for several scales: add {choices}"
                              f"{given}.")  # fmt: skip
    own = f"upsample.up{scale}."
    return {
        name.replace(own, _ONE): tensor
        for name, tensor in tensors.items()
        if name.startswith(own) or not _OF_SCALE.match(name)
    }


def _describe_carn_m(tensors: Mapping[str, Tensor]) -> Node:
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


def _carn_m_names(ours: Iterable[str]) -> Names:
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


IMDN = Layout(_describe_imdn, _imdn_names)
VDSR = Layout(_describe_vdsr, _vdsr_names)
FSRCNN = Layout(_describe_fsrcnn, _fsrcnn_names, scales=(2, 3, 4))
CARN_M = Layout(_describe_carn_m, _carn_m_names, select=_select_carn_m)
