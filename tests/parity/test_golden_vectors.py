"""PANet against the authors' implementation, by stored vectors (fp32, CPU)."""

import re

import pytest
import torch
from torch import Tensor

from src.models.attention.pyramid import PyramidAttention
from src.models.backbones.panet import PANet
from src.runtime.checkpoint import load_reference_weights, to_reference_weights
from tests.support.golden import (
    case_input,
    cases,
    expected,
    needs_reference,
    parameter,
    reference_keys,
)

pytestmark = [pytest.mark.parity, needs_reference]

TOLERANCE = 1e-5  # sums of up to 10⁴ float32 products in another order
RESAMPLING = {"recompute": "size_ratio", "direct": "scale_factor"}
_OURS = {"conv_match_L_base": "query", "conv_match": "key", "conv_assembly": "value"}


def filled_attention(name: str, channels: int, reduction: int, identity: float) -> PyramidAttention:
    block = PyramidAttention(
        channels,
        reduction=reduction,
        residual_scale=identity,
        resampling=RESAMPLING[name.rpartition("_")[2]],  # type: ignore[arg-type]
    )
    parameters = dict(block.named_parameters())
    for k, reference in enumerate(cases()[name]["fill_order"]):
        part, leaf = reference.split(".", 1)
        held = parameters[f"{_OURS[part]}.{leaf}"]
        held.data = parameter(tuple(held.shape), k, cases()[name]["amp"])
    return block


def filled_panet(name: str, channels: int) -> PANet:
    """Fill by the authors' names, through the public loader."""
    like = to_reference_weights(PANet(channels, channels, blocks=4), "panet")
    shared = re.compile(r"body\.\d+\.body\.1\.weight")
    weights: dict[str, Tensor] = dict(like)
    for k, reference in enumerate(cases()[name]["fill_order"]):
        value = parameter(tuple(like[reference].shape), k, cases()[name]["amp"])
        names = (
            [n for n in like if shared.fullmatch(n)] if shared.fullmatch(reference) else [reference]
        )
        weights.update(dict.fromkeys(names, value))
    net = load_reference_weights(weights, "panet")
    assert isinstance(net, PANet)
    for module in net.modules():
        if isinstance(module, PyramidAttention):
            module.resampling = RESAMPLING[name.rpartition("_")[2]]  # type: ignore[assignment]
    return net


ATTENTION_CASES = [
    ("pyramid_attention_c64_r2", 64, 2, 1.0),
    ("pyramid_attention_c64_r2_10x10", 64, 2, 1.0),
    ("pyramid_attention_c256_r8_res0.1", 256, 8, 0.1),
]


@pytest.mark.parametrize("variant", ["recompute", "direct"])
@pytest.mark.parametrize(("case", "channels", "reduction", "identity"), ATTENTION_CASES)
@pytest.mark.parametrize("memory_budget", [2**28, 100_000, 1], ids=["whole", "blocks", "rows"])
def test_pyramid_attention_equals_the_authors(
    case: str, channels: int, reduction: int, identity: float, variant: str, memory_budget: int
) -> None:
    name = f"{case}_{variant}"
    block = filled_attention(name, channels, reduction, identity)
    block.memory_budget = memory_budget
    with torch.no_grad():
        difference = (block(case_input(name)) - expected(name)).abs().max().item()
    assert difference <= TOLERANCE


@pytest.mark.parametrize("variant", ["recompute", "direct"])
@pytest.mark.parametrize(
    ("case", "channels"), [("panet_4blocks_rgb", 3), ("panet_4blocks_gray", 1)]
)
@pytest.mark.parametrize("training", [False, True], ids=["chunked", "dense"])
def test_panet_equals_the_authors(
    case: str, channels: int, variant: str, *, training: bool
) -> None:
    name = f"{case}_{variant}"
    net = filled_panet(name, channels)
    with torch.set_grad_enabled(training):
        difference = (net(case_input(name)) - expected(name)).abs().max().item()
    assert difference <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "channels", "blocks"),
    [
        ("panet_dn", 3, 80),
        ("panet_demosaic", 3, 80),
        ("panet_car", 1, 80),
        ("panet_dn_16blocks_option_default", 3, 16),
    ],
)
def test_names_shapes_and_counts_are_the_published_ones(
    name: str, channels: int, blocks: int
) -> None:
    published = reference_keys(name)
    net = PANet(channels, channels, blocks=blocks)
    ours = {n: list(t.shape) for n, t in to_reference_weights(net, "panet").items()}
    assert ours == {key["name"]: key["shape"] for key in published["keys"]}
    assert sum(p.numel() for p in net.parameters()) == published["parameters_unique"]
    trainable = sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert trainable == published["trainable_unique"]
