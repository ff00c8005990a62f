"""Every attention block and every network: the same result and gradient on a GPU as on the CPU."""

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.support.gpu import needs_gpu
from tests.support.parts import CHANNELS, attention, attentions, image_for, models, small_net

pytestmark = needs_gpu


@pytest.fixture(autouse=True)
def _whole_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions are not shortened to TF32: the two devices are to agree."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.mark.parametrize("name", attentions())
def test_a_block_computes_the_same(name: str) -> None:
    torch.manual_seed(0)
    _assert_the_same(attention(name).eval(), torch.randn(2, CHANNELS, 24, 20))


@pytest.mark.parametrize("name", [name for name in models() if name != "bm3d"])  # is not torch's
def test_a_network_computes_the_same(name: str) -> None:
    torch.manual_seed(0)
    net = small_net(name).eval()
    _assert_the_same(net, image_for(net, sides=(24, 20)))


@pytest.mark.parametrize("name", attentions())
def test_a_block_trains_under_bf16_autocast(name: str) -> None:
    torch.manual_seed(0)
    block = attention(name).to("cuda")
    features = torch.randn(2, CHANNELS, 24, 20, device="cuda", requires_grad=True)
    with torch.autocast("cuda", torch.bfloat16):
        result = block(features)
    torch.autograd.backward(result.float().square().mean())
    assert features.grad is not None
    assert features.grad.isfinite().all()
    assert (features.grad != 0).any()


def _assert_the_same(net: nn.Module, features: Tensor) -> None:
    on_cpu, on_gpu = (
        _run(copy.deepcopy(net).to(device), features.to(device)) for device in ("cpu", "cuda")
    )
    for right, ours in zip(on_cpu, on_gpu, strict=True):
        assert (ours.cpu() - right).norm() <= 1e-3 * right.norm() + 1e-6


def _run(net: nn.Module, features: Tensor) -> list[Tensor]:
    features = features.clone().requires_grad_()
    result = net(features)
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(result.square().mean(), [features, *weights], allow_unused=True)
    joined = [gradient.flatten() for gradient in gradients[1:] if gradient is not None]
    parts = [result.detach(), gradients[0]] + ([torch.cat(joined)] if joined else [])
    return [part for part in parts if part is not None]
