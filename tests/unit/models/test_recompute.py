import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from src.app.build import make
from src.models.attention.none import NoAttention
from src.models.backbones.dncnn import DnCNN
from src.models.backbones.panet import PANet
from src.models.blocks.recompute import recompute_blocks
from tests.support.combinations import MODELS, composed, shrunk


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


@pytest.mark.parametrize("option", [name for name in MODELS if "_" not in name])
def test_gradients_and_names_of_weights_stay_as_they_are(option: str) -> None:
    net: nn.Module = make(shrunk(composed(("super_resolution_x2", option, "channel"))).model)
    image = torch.rand(1, 3, *[max(8, net.multiple_of)] * 2)
    names, before = list(net.state_dict()), _gradients(net, image)
    restored = net(image).detach()
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
