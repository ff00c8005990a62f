"""A small network as live and as .onnx file, written without the exporter, which takes seconds."""

from itertools import pairwise
from pathlib import Path

import torch
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
    import onnx
    from onnx import TensorProto, helper, numpy_helper

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
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"scale": str(scale), "least_side": "16"})
    onnx.save(model, path)
    return path
