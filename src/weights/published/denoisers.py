"""Plain stacks of convolutions as published by the Zhang lab: DnCNN and FFDNet.

Convolutions have even numbers, ``model.0`` to ``model.<2n>``, the ReLUs between them the odd ones.
Batch normalisation is merged into the convolutions.
"""

from collections.abc import Iterable, Mapping

from torch import Tensor

from src.weights.published.layout import Layout, Names, Node, numbers, renamed
from src.weights.published.sizes import shapes_of, wrong

_WEIGHT = r"model\.(\d+)\.weight"


def _stack(tensors: Mapping[str, Tensor]) -> tuple[int, int, int, int]:
    """Return channels into the stack, within and out of it, and convolutions between the ends."""
    found = numbers(tensors, _WEIGHT, "model.<number>.weight")
    if found != list(range(0, found[-1] + 1, 2)) or len(found) < 2:
        raise wrong(
            f"their convolutions are model.{', model.'.join(map(str, found))}, not every second "
            "number from 0; if batch normalisation stands between, merge it first"
        )
    head, tail = shapes_of(tensors, "model.0.weight", f"model.{found[-1]}.weight")
    return head[1], head[0], tail[0], len(found) - 2


def _describe_dncnn(tensors: Mapping[str, Tensor]) -> Node:
    in_channels, channels, out_channels, blocks = _stack(tensors)
    return {
        "_target_": "src.models.backbones.dncnn.DnCNN",
        "in_channels": in_channels,
        "out_channels": out_channels,
        "channels": channels,
        "blocks": blocks,
        "batch_norm": False,
        "attention_sites": [],
    }


def _describe_ffdnet(tensors: Mapping[str, Tensor]) -> Node:
    unshuffled, channels, shuffled, blocks = _stack(tensors)
    if shuffled % 4 or unshuffled != shuffled + 1:
        raise wrong(
            f"they take {unshuffled} channels and return {shuffled}; an FFDNet takes four times "
            "its image channels and one noise level, and returns four times its image channels"
        )
    return {
        "_target_": "src.models.backbones.ffdnet.FFDNet",
        "in_channels": shuffled // 4 + 1,  # the last one is the noise level
        "out_channels": shuffled // 4,
        "channels": channels,
        "blocks": blocks,
        "attention_sites": [],
    }


def _stack_names(ours: Iterable[str]) -> Names:
    names = list(ours)
    last = 2 * len(numbers(names, r"trunk\.(\d+)\.0\.weight", "trunk.<number>.0.weight")) + 2
    return renamed(
        names,
        (
            (r"head\.0\.", "model.0."),
            (r"trunk\.(\d+)\.0\.", lambda match: f"model.{2 * int(match[1]) + 2}."),
            (r"tail\.", f"model.{last}."),
        ),
    )


DNCNN = Layout(_describe_dncnn, _stack_names)
FFDNET = Layout(_describe_ffdnet, _stack_names)
