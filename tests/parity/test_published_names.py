"""Names, shapes and counts of the papers' own checkpoints."""

from collections.abc import Callable

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from src.models.attention.pyramid import PyramidAttention
from src.models.backbones.csnln import CSNLN
from src.models.backbones.edsr import EDSR
from src.models.backbones.panet import PANet
from tests.support.compose import compose_config
from tests.support.golden import needs_reference, reference_keys
from tests.support.published import to_reference_weights

pytestmark = [pytest.mark.parity, needs_reference]


def _pyramid(channels: int) -> nn.Module:
    return PyramidAttention(channels, residual_scale=0.1)


PUBLISHED: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "panet_dn": ("panet", PANet),
    "panet_demosaic": ("panet", PANet),
    "panet_car": ("panet", lambda: PANet(1, 1)),
    "panet_dn_16blocks_option_default": ("panet", lambda: PANet(blocks=16)),
    **{
        f"paedsr_x{scale}": ("pa_edsr", lambda scale=scale: EDSR(scale=scale, attention=_pyramid))
        for scale in (2, 3, 4)
    },
    **{f"csnln_x{s}": ("csnln", lambda scale=s: CSNLN(scale=scale)) for s in (2, 3, 4)},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_shapes_and_counts_are_the_published_ones(name: str) -> None:
    architecture, build = PUBLISHED[name]
    with torch.device("meta"):
        net = build()
    published = reference_keys(name)
    ours = {n: list(t.shape) for n, t in to_reference_weights(net, architecture).items()}
    assert ours == {key["name"]: key["shape"] for key in published["keys"]}
    assert len(ours) == published["n_keys"]
    assert sum(p.numel() for p in net.parameters()) == published["parameters_unique"]
    trainable = sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert trainable == published["trainable_unique"]


@pytest.mark.parametrize(
    ("choice", "scale", "count"),
    [
        (("model=panet",), 1, 5_957_279),
        # Lim et al., 2017, Table 1: 43 M
        (("model=edsr",), 2, 40_729_627),
        (("model=edsr",), 3, 43_680_027),
        (("model=edsr",), 4, 43_089_947),
        (("model=edsr", "model/attention=pyramid"), 2, 40_811_870),
        (("model=edsr", "model/attention=pyramid"), 3, 43_762_270),
        (("model=edsr", "model/attention=pyramid"), 4, 43_172_190),
        (("model=csnln",), 2, 3_061_289),
        (("model=csnln",), 3, 6_010_409),
        (("model=csnln",), 4, 6_568_627),
    ],
)
def test_the_command_line_gives_the_published_network(
    choice: tuple[str, ...], scale: int, count: int
) -> None:
    node = compose_config(*choice, f"io.scale={scale}").model
    with torch.device("meta"):
        net: nn.Module = instantiate(node, _convert_="all")
    assert sum(p.numel() for p in net.parameters()) == count
    blocks = [module for module in net.modules() if isinstance(module, PyramidAttention)]
    assert [block.residual_scale for block in blocks] == [
        1.0 if "model=panet" in choice else 0.1 for _ in blocks
    ]
