"""Stacks of convolutions as published: DnCNN and FFDNet by the Zhang lab, DemosaicNet in PyTorch.

The Zhang lab's convolutions have even numbers, ``model.0`` to ``model.<2n>``, the ReLUs between
them the odd ones. Batch normalisation is merged into the convolutions.
"""

from collections.abc import Iterable, Mapping

from torch import Tensor

from src.weights.published.layout import Layout, Names, Node, numbers, renamed, shapes_of, wrong

_WEIGHT = r"model\.(\d+)\.weight"


def _stack(tensors: Mapping[str, Tensor]) -> tuple[int, int, int, int]:
    """Return channels into the stack, within and out of it, and convolutions between the ends."""
    indices = numbers(tensors, _WEIGHT, "model.<number>.weight")
    if indices != list(range(0, indices[-1] + 1, 2)) or len(indices) < 2:
        raise wrong(
            f"their convolutions are model.{', model.'.join(map(str, indices))}, not every second "
            "number from 0; if batch normalisation stands between, merge it first"
        )
    head, tail = shapes_of(tensors, "model.0.weight", f"model.{indices[-1]}.weight")
    return head[1], head[0], tail[0], len(indices) - 2


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


def _describe_demosaicnet(tensors: Mapping[str, Tensor]) -> Node:
    pattern = r"main_processor\.conv(\d+)\.weight"
    layers = numbers(tensors, pattern, "main_processor.conv<number>.weight")
    packed, head = shapes_of(
        tensors, "main_processor.pack_mosaic.weight", "main_processor.conv1.weight"
    )
    (tail,) = shapes_of(tensors, "fullres_processor.output.weight")
    return {
        "_target_": "src.models.backbones.demosaicnet.DemosaicNet",
        "in_channels": packed[1],
        "out_channels": tail[0],
        "channels": head[0],
        "blocks": len(layers) - 2,  # the first takes the packed mosaic, the last makes twice C
        "attention_sites": [],
    }


def _demosaicnet_names(ours: Iterable[str]) -> Names:
    names = list(ours)
    last = len(numbers(names, r"trunk\.(\d+)\.0\.weight", "trunk.<number>.0.weight")) + 2
    return renamed(
        names,
        (
            (r"pack\.", "main_processor.pack_mosaic."),
            (r"head\.0\.", "main_processor.conv1."),
            (r"trunk\.(\d+)\.0\.", lambda match: f"main_processor.conv{int(match[1]) + 2}."),
            (r"split\.0\.", f"main_processor.conv{last}."),
            (r"residual\.", "residual_predictor."),
            (r"expand\.", "upsampler."),
            (r"merge\.0\.", "fullres_processor.post_conv."),
            (r"tail\.", "fullres_processor.output."),
        ),
    )


DNCNN = Layout(_describe_dncnn, _stack_names)
FFDNET = Layout(_describe_ffdnet, _stack_names)
DEMOSAICNET = Layout(_describe_demosaicnet, _demosaicnet_names)
