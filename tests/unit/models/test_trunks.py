"""Attention sites of PANet and EDSR, and what EDSR does at each scale and channel count."""

import copy
from collections.abc import Iterator, Sequence

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from src.models.attention.cross_scale import CrossScaleAttention
from src.models.attention.in_scale_non_local import InScaleNonLocalAttention
from src.models.attention.none import NoAttention
from src.models.attention.pyramid import PyramidAttention
from src.models.backbones.dncnn import DnCNN
from src.models.backbones.edsr import EDSR
from src.models.backbones.panet import PANet
from src.models.blocks.parts import ResidualBlock, upsampler
from src.models.blocks.trunk import AttentionSite, attention_site, blocks_of, recompute_blocks
from tests.support.compose import compose_config
from tests.support.parts import has_attention, image_for, models, small_net

BACKBONES = [PANet, EDSR]


def order(net: nn.Module) -> str:
    """Return the trunk as a word: r residual block, a attention, c the last convolution."""
    letters = {ResidualBlock: "r", PyramidAttention: "a", nn.Conv2d: "c"}
    trunk = net.trunk
    assert isinstance(trunk, nn.Sequential)
    return "".join(letters[type(module)] for module in trunk)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(
    ("sites", "word"),
    [
        (None, "rrarrc"),
        ([], "rrrrc"),
        ([0, 2, 4], "arrarrac"),
        ([4, 0], "arrrrac"),
        ([1, 1], "raarrrc"),
    ],
)
def test_attention_stands_after_as_many_blocks_as_its_site_says(
    backbone: type[PANet] | type[EDSR], sites: Sequence[int] | None, word: str
) -> None:
    net = backbone(channels=8, blocks=4, attention=PyramidAttention, attention_sites=sites)
    assert order(net) == word
    blocks = [module for module in net.modules() if isinstance(module, PyramidAttention)]
    weights = {block.query[0].weight.data_ptr() for block in blocks}
    assert len(weights) == word.count("a")  # each site has its own


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_site_out_of_range_or_without_a_middle_is_refused(
    backbone: type[PANet] | type[EDSR],
) -> None:
    with pytest.raises(ValueError, match=r"attention_sites=\[5\]: 5 is out of range.*0 to 4"):
        backbone(channels=8, blocks=4, attention_sites=[5])
    with pytest.raises(ValueError, match=r"blocks=3 is odd.*attention_sites=\[1\]"):
        backbone(channels=8, blocks=3)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(
    ("attention", "is_global"), [(NoAttention, False), (PyramidAttention, True)]
)
def test_a_trunk_knows_whether_tiling_changes_the_result(
    backbone: type[PANet] | type[EDSR], attention: type[nn.Module], *, is_global: bool
) -> None:
    assert backbone(channels=8, blocks=2, attention=attention).global_context is is_global
    without = backbone(channels=8, blocks=2, attention=attention, attention_sites=[])
    assert without.global_context is False


def test_sites_come_from_the_command_line() -> None:
    node = compose_config("model=panet_tiny", "model.attention_sites=[0,8,16]").model
    net = instantiate(node, _convert_="all")
    assert order(net) == "a" + 8 * "r" + "a" + 8 * "r" + "ac"


def test_a_block_of_the_right_shape_stays_itself_and_keeps_its_names() -> None:
    assert isinstance(attention_site(PyramidAttention, 8), PyramidAttention)
    assert isinstance(attention_site(NoAttention, 8), NoAttention)
    bare = attention_site(InScaleNonLocalAttention, 8, identity=False)
    assert isinstance(bare, InScaleNonLocalAttention)


@pytest.mark.parametrize("attention", [CrossScaleAttention, InScaleNonLocalAttention])
def test_a_block_that_enlarges_or_forgets_is_brought_back_to_size_and_joined_with_the_features(
    attention: type[nn.Module],
) -> None:
    site = attention_site(attention, 8)
    assert isinstance(site, AttentionSite)
    for parameter in site.parameters():
        parameter.data.zero_()
    features = torch.rand(2, 8, 5, 7)
    assert torch.equal(site(features), features)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(3, 3), (1, 1), (4, 3)])
def test_edsr_takes_each_scale_and_channel_count(
    scale: int, in_channels: int, out_channels: int
) -> None:
    net = EDSR(in_channels, out_channels, scale, channels=8, blocks=2)
    restored = net(torch.rand(2, in_channels, 5, 6))
    assert restored.shape == (2, out_channels, 5 * scale, 6 * scale)
    shifts = not isinstance(net.sub_mean, nn.Identity)
    assert shifts is (in_channels == out_channels == 3)
    assert shifts is not isinstance(net.add_mean, nn.Identity)


def test_a_scale_without_an_upsampler_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scale=5.*1, 2, 3, 4, 8"):
        upsampler(5, 8)


def test_edsr_without_its_mean_shift_would_not_be_neutral() -> None:
    """With all weights at zero the network returns the mean colour that it took away."""
    net = EDSR(channels=8, blocks=2)
    for parameter in net.parameters():
        if parameter.requires_grad:
            parameter.data.zero_()
    colour = net(torch.rand(1, 3, 4, 4))[0, :, 0, 0]
    torch.testing.assert_close(colour, torch.tensor([0.4488, 0.4371, 0.4040]))


@pytest.mark.parametrize(("channels", "match"), [(16, 8), (32, 16), (48, 24), (64, 32), (256, 32)])
def test_pyramid_attention_compares_in_32_channels_where_it_can(channels: int, match: int) -> None:
    assert PyramidAttention(channels).query[0].out_channels == match


@pytest.mark.parametrize(
    ("choice", "identity"),
    [
        (("model=panet",), 1.0),
        (("model=edsr", "model/attention=pyramid"), 0.1),
        (("model=edsr", "model/attention=pyramid", "model.residual_scale=0.2"), 0.2),
        (("model=edsr", "model/attention=pyramid", "model.attention.residual_scale=1"), 1.0),
    ],
)
def test_pyramid_attention_scales_its_identity_as_its_trunk_scales_its_branches(
    choice: tuple[str, ...], identity: float
) -> None:
    assert compose_config(*choice).model.attention.residual_scale == identity


@pytest.fixture(autouse=True)
def fixed_weights() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def _gradients(net: nn.Module, image: Tensor) -> list[Tensor]:
    net.zero_grad()
    net(image).square().mean().backward()
    return [weights.grad.clone() for weights in net.parameters() if weights.grad is not None]


def _kept_bytes(net: nn.Module, image: Tensor) -> int:
    """Return how much the forward pass keeps for the backward pass, weights left out."""
    weights = {parameter.data_ptr() for parameter in net.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        net(image).square().mean()
    return sum(kept.values())


def _panet(**settings: int) -> PANet:
    return PANet(channels=8, attention=NoAttention, **settings)


def _with_weights(option: str) -> nn.Module:
    net = small_net(option, *(["model/attention=channel"] if has_attention(option) else []))
    if not any(weights.requires_grad for weights in net.parameters()):
        pytest.skip("nothing to train")
    return net


@pytest.mark.parametrize("option", models())
def test_recompute_keeps_gradients_and_names_of_weights(option: str) -> None:
    net = _with_weights(option)
    image = image_for(net, sides=(8, 8))
    names, before = list(net.state_dict()), _gradients(net, image)
    restored = net(image).detach()
    if not list(blocks_of(net)):
        with pytest.raises(ValueError, match=r"no blocks .*recompute=false"):
            recompute_blocks(net)
        return
    recompute_blocks(net)
    after = _gradients(net, image)
    assert list(net.state_dict()) == names
    assert len(after) == len(before)
    assert all(torch.equal(one, other) for one, other in zip(after, before, strict=True))
    with torch.no_grad():
        assert torch.equal(net(image), restored)


def test_little_more_than_the_input_of_each_block_is_kept() -> None:
    net, image = _panet(blocks=16), torch.rand(1, 3, 32, 32)
    plain = _kept_bytes(net, image)
    recompute_blocks(net)
    features = 4 * 8 * 32 * 32
    assert _kept_bytes(net, image) < (16 + 6) * features < plain / 2


def test_a_copy_computes_with_its_own_weights() -> None:
    net, image = _panet(blocks=2), torch.rand(1, 3, 8, 8)
    recompute_blocks(net)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in net.trunk.parameters():
            parameter.zero_()
    assert _gradients(twin, image)[2].abs().sum() > 0
    assert not torch.equal(twin(image), net(image))


def test_a_network_of_single_layers_has_nothing_to_compute_again() -> None:
    with pytest.raises(ValueError, match=r"DnCNN has no blocks .*recompute=false"):
        recompute_blocks(DnCNN(attention=NoAttention))
