"""Small networks as .onnx files, written without the exporter, which takes seconds."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import GraphProto, TensorProto, helper, numpy_helper
from torch import nn

CHANNELS = 32


class Chain(nn.Sequential):
    """Blur, and hand the image on through convolutions that change nothing; keeps the contract."""

    scale, in_channels, out_channels, multiple_of, min_size = 1, 3, 3, 1, 1
    global_context = False

    def __init__(self, inner: int = 5) -> None:
        sides = [3, *[CHANNELS] * (inner + 1), 3]
        super().__init__(*(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sides)))
        kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
        for index, part in enumerate(self):
            weight, bias = part.parameters()
            nn.init.zeros_(weight)
            nn.init.zeros_(bias)
            for channel in range(len(weight)):
                source = channel % weight.shape[1]
                weight.data[channel, source, 1, 1] = 1
                if index == 0:
                    weight.data[channel, source] = kernel
        self.requires_grad_(requires_grad=False)


def write_chain(net: Chain, path: Path, *, size: int | None = None, scale: int = 1) -> Path:
    """Write the network, of one size where it is given, its image repeated ``scale`` times."""
    nodes, tensors, name = [], [], "degraded"
    for index, part in enumerate(net):
        for kind, value in part.named_parameters():
            tensors.append(numpy_helper.from_array(value.numpy(), f"{index}.{kind}"))
        parts = [name, f"{index}.weight", f"{index}.bias"]
        name = f"features{index}"
        nodes.append(helper.make_node("Conv", parts, [name], f"conv{index}", pads=[1, 1, 1, 1]))
    enlarging = helper.make_tensor("scales", TensorProto.FLOAT, [4], [1, 1, scale, scale])
    nodes.append(helper.make_node("Resize", [name, "", "scales"], ["restored"], mode="nearest"))
    sides = ("height", "width") if size is None else (size, size)
    given = helper.make_tensor_value_info("degraded", TensorProto.FLOAT, ["batch", 3, *sides])
    large = ("tall", "wide") if size is None else (size * scale, size * scale)
    made = helper.make_tensor_value_info("restored", TensorProto.FLOAT, ["batch", 3, *large])
    graph = helper.make_graph(nodes, "chain", [given], [made], [*tensors, enlarging])
    return _write(graph, path, scale=scale)


def write_mask(mask: npt.NDArray[np.float32], path: Path, *, padded_to: int = 1) -> Path:
    """Write a network for the one size of ``mask`` (3, H, W) that multiplies an image by it."""
    sides = ["batch", *mask.shape]
    given, made = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sides)
        for name in ("degraded", "restored")
    )
    node = helper.make_node("Mul", ["degraded", "mask"], ["restored"])
    tensor = numpy_helper.from_array(mask, "mask")
    graph = helper.make_graph([node], "mask", [given], [made], [tensor])
    return _write(graph, path, padded_to=padded_to)


def _write(graph: GraphProto, path: Path, scale: int = 1, padded_to: int = 1) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    about = {"scale": scale, "least_side": 16, "padded_to": padded_to}
    helper.set_model_props(model, {key: str(value) for key, value in about.items()})
    onnx.save(model, path)
    return path
