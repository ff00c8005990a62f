"""Every published part and network against the authors' implementation, by stored vectors.

``python -m tests.parity.test_golden_vectors`` prints the differences as a Markdown table.
"""

import re
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.in_scale_non_local import InScaleNonLocalAttention
from src.models.attention.pyramid import PyramidAttention
from src.models.backbones.csnln import CSNLN
from src.models.backbones.edsr import EDSR
from src.models.backbones.panet import PANet
from tests.support.golden import case_input, cases, expected, needs_reference, parameter
from tests.support.published import load_reference_weights, to_reference_weights

pytestmark = [pytest.mark.parity, needs_reference]

TOLERANCE = 1e-5  # fp32, CPU: sums of up to 10⁴ products in another order
RESAMPLING = {"recompute": "size_ratio", "direct": "scale_factor"}
OURS = {
    "conv_match_L_base": "query",
    "conv_match": "key",
    "conv_match1": "query",
    "conv_match2": "key",
    "conv_match_1": "query",
    "conv_match_2": "key",
    "conv_assembly": "value",
}


def _pyramid(reduction: int, identity: float = 1.0) -> Callable[[int], nn.Module]:
    return lambda channels: PyramidAttention(channels, reduction=reduction, residual_scale=identity)


BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "pyramid_attention_c64_r2": lambda: _pyramid(2)(64),
    "pyramid_attention_c64_r2_10x10": lambda: _pyramid(2)(64),
    "pyramid_attention_c256_r8_res0.1": lambda: _pyramid(8, 0.1)(256),
    "csnln_nonlocal": lambda: InScaleNonLocalAttention(128),
    "csnln_crossscale_s2": lambda: CrossScaleAttention(128, scale=2),
    "csnln_crossscale_s3": lambda: CrossScaleAttention(128, scale=3),
}
NETWORKS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "panet_4blocks_rgb": ("panet", lambda: PANet(3, 3, blocks=4)),
    "panet_4blocks_gray": ("panet", lambda: PANet(1, 1, blocks=4)),
    **{
        f"paedsr_2blocks_x{scale}": (
            "pa_edsr",
            lambda scale=scale: EDSR(scale=scale, blocks=2, attention=_pyramid(8, 0.1)),
        )
        for scale in (2, 3, 4)
    },
    **{
        f"csnln_depth2_x{scale}": ("csnln", lambda scale=scale: CSNLN(scale=scale, depth=2))
        for scale in (2, 3, 4)
    },
}


def filled_block(name: str) -> nn.Module:
    block = BLOCKS[name.rpartition("_")[0]]()
    parameters = dict(block.named_parameters())
    for k, reference in enumerate(cases()[name]["fill_order"]):
        part, leaf = reference.split(".", 1)
        held = parameters[f"{OURS[part]}.{leaf}"]
        held.data = parameter(tuple(held.shape), k, cases()[name]["amp"])
    return _resampling(block, name)


def filled_network(name: str) -> nn.Module:
    """Fill by the authors' names, through the public loader, which must find size and scale."""
    architecture, build = NETWORKS[name.rpartition("_")[0]]
    like = to_reference_weights(build(), architecture)
    # The vectors name a tensor that is stored twice by its first name only.
    twice = re.compile(r"body\.\d+\.(conv_match|conv_assembly|escape_NaN)")
    if architecture == "pa_edsr":
        like = {key: tensor for key, tensor in like.items() if not twice.match(key)}
    shared = re.compile(r"body\.\d+\.body\.1\.weight")
    slopes = [key for key in like if shared.fullmatch(key)]
    weights: dict[str, Tensor] = dict(like)
    for k, reference in enumerate(cases()[name]["fill_order"]):
        value = parameter(tuple(like[reference].shape), k, cases()[name]["amp"])
        weights.update(dict.fromkeys(slopes if reference in slopes else [reference], value))
    return _resampling(load_reference_weights(weights, architecture), name)


def _resampling(net: nn.Module, name: str) -> nn.Module:
    for module in net.modules():
        if isinstance(module, PyramidAttention):
            module.resampling = RESAMPLING[name.rpartition("_")[2]]  # type: ignore[assignment]
    return net


def _with_budget(net: nn.Module, memory_budget: int) -> nn.Module:
    for module in net.modules():
        if hasattr(module, "memory_budget"):
            module.memory_budget = memory_budget
    return net


def difference(net: nn.Module, name: str) -> float:
    with torch.no_grad():
        restored: Tensor = net(case_input(name))
    return (restored - expected(name)).abs().max().item()


def _variants(names: list[str]) -> list[str]:
    return [f"{name}_{variant}" for name in names for variant in RESAMPLING]


@pytest.mark.parametrize("name", _variants(list(BLOCKS)))
@pytest.mark.parametrize("memory_budget", [2**28, 100_000, 1], ids=["whole", "blocks", "rows"])
def test_an_attention_block_equals_the_authors(name: str, memory_budget: int) -> None:
    assert difference(_with_budget(filled_block(name), memory_budget), name) <= TOLERANCE


@pytest.mark.parametrize("name", _variants(list(NETWORKS)))
def test_a_network_equals_the_authors(name: str) -> None:
    net = filled_network(name)
    assert difference(net, name) <= TOLERANCE
    restored = net(case_input(name)).detach()  # as in training: the plain form of the attention
    assert (restored - expected(name)).abs().max().item() <= TOLERANCE


def test_no_case_is_left_out() -> None:
    assert {*_variants(list(BLOCKS)), *_variants(list(NETWORKS))} == set(cases())


def main() -> None:
    """Print the table."""
    lines = ["| case | maximum difference |", "|---|---|"]
    for name in cases():
        block = name.rpartition("_")[0] in BLOCKS
        net = filled_block(name) if block else filled_network(name)
        lines.append(f"| {name} | {difference(net, name):.1e} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
