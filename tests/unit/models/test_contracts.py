"""What every attention block and backbone promises; a new file is tested by existing.

Those of a folder outside are tested by ``make contract PATH=<folder>``.
"""

from collections.abc import Iterator

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf

from src.models.attention import ATTENTION
from src.models.backbones import BACKBONES
from tests.support.compose import compose_config
from tests.support.pairwise import every_pair
from tests.support.parts import (
    CHANNELS,
    SEARCH_PATH,
    attention,
    attentions,
    file_of,
    image_for,
    models,
    pairs,
    small_net,
)

EXTRAS = {"bm3d": "bm3d"}  # model → the optional package that it runs
SIZES = [(1, 1), (1, 5), (2, 3), (7, 5), (24, 20)]


@pytest.fixture(autouse=True)
def fixed_weights() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("name", attentions())
def test_attention_keeps_shape_and_passes_gradient(name: str) -> None:
    block = attention(name)
    features = torch.randn(2, CHANNELS, 12, 10, requires_grad=True)  # H != W on purpose
    result = block(features)
    scale = int(block.scale)
    assert result.shape == (2, CHANNELS, 12 * scale, 10 * scale)
    result.square().mean().backward()
    assert features.grad is not None
    assert features.grad.abs().sum() > 0
    for parameter in block.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", attentions())
def test_attention_takes_any_size(name: str, size: tuple[int, int]) -> None:
    block = attention(name).eval()
    with torch.no_grad():
        result = block(torch.randn(1, CHANNELS, *size))
    assert result.shape[-2:] == (size[0] * block.scale, size[1] * block.scale)
    assert torch.isfinite(result).all()


@pytest.mark.parametrize("name", attentions())
def test_attention_is_deterministic_and_independent_of_the_batch(name: str) -> None:
    block = attention(name).eval()
    features = torch.randn(3, CHANNELS, 9, 11)
    with torch.no_grad():
        together, again = block(features), block(features)
        alone = torch.cat([block(image[None]) for image in features])
    assert torch.equal(together, again)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", attentions())
def test_attention_works_under_bf16_autocast(name: str, *, training: bool) -> None:
    block = attention(name)
    features = torch.randn(1, CHANNELS, 10, 12, requires_grad=training)
    with torch.set_grad_enabled(training), torch.autocast("cpu", torch.bfloat16):
        result = block(features)
    exact = block(features)
    assert torch.isfinite(result).all()
    error = (result.float() - exact).norm() / exact.norm()
    assert error < 0.05  # bf16 keeps 8 bits; scores are scaled by 10 before the softmax


@pytest.mark.parametrize("name", attentions())
def test_inference_and_training_paths_agree(name: str) -> None:
    block = attention(name)
    features = torch.randn(2, CHANNELS, 13, 9)
    with torch.no_grad():
        inference = block(features)
    torch.testing.assert_close(inference, block(features).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("option", models())
def test_a_model_keeps_the_backbone_contract(option: str) -> None:
    if option in EXTRAS:
        pytest.importorskip(EXTRAS[option], reason="an optional extra")
    net = small_net(option)
    side = -(-net.min_size // net.multiple_of) * net.multiple_of
    degraded = torch.rand(2, net.in_channels, side + net.multiple_of, side + 2 * net.multiple_of)
    restored = net(degraded)
    assert restored.shape == (
        2,
        net.out_channels,
        degraded.shape[2] * net.scale,
        degraded.shape[3] * net.scale,
    )
    if any(parameter.requires_grad for parameter in net.parameters()):
        restored.square().mean().backward()
    for name, parameter in net.named_parameters():
        assert not parameter.requires_grad or parameter.grad is not None, name
    assert isinstance(net.global_context, bool)


@pytest.mark.parametrize(("option", "block"), every_pair(pairs()))
def test_every_attention_block_works_in_every_model(option: str, block: str) -> None:
    net = small_net(option, f"model/attention={block}")
    degraded = image_for(net, sides=(8, 6))
    assert torch.isfinite(net(degraded)).all()


@pytest.mark.long
@pytest.mark.parametrize(
    ("registry", "folder"), [(ATTENTION, "model/attention"), (BACKBONES, "model")]
)
def test_catalogue_and_config_group_name_the_same_classes(registry: object, folder: str) -> None:
    """Each entry has an option of its name; other options are variants of an entry."""
    assert isinstance(registry, type(ATTENTION))
    nodes = {option: compose_config(*SEARCH_PATH, f"model={option}").model for option in models()}
    targets = {option: get_class(node["_target_"]) for option, node in nodes.items()}
    for name in registry:
        node = OmegaConf.load(file_of(folder, name))
        assert get_class(node["_target_"]) is registry[name].cls
        assert registry.name_of(node["_target_"]) == name  # so results and folders are called
        assert registry[name].paper
    if folder == "model":
        assert {*targets.values()} <= {registry[name].cls for name in registry}
