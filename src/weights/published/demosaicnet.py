"""DemosaicNet for Bayer mosaics as published in PyTorch: its size, and its tensors' names."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from src.weights.published.layout import Layout, Names, Node, numbers, renamed
from src.weights.published.sizes import shapes_of


def _describe(tensors: Mapping[str, Tensor]) -> Node:
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


def _names(ours: Iterable[str]) -> Names:
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


DEMOSAICNET = Layout(_describe, _names)
