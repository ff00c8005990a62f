"""The memory that a network will need, told beforehand, against what its process then takes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from src.app.build import make
from src.core.errors import DataError
from src.core.paths import ROOT
from src.inference import choice
from src.inference.choice import footprint
from src.models.attention.in_scale_non_local import InScaleNonLocalAttention
from src.models.attention.non_local import NonLocalAttention
from src.ops.attention.operator_costs import FLOPS, WORKSPACE
from tests.support.compose import compose_config

CPU = torch.device("cpu")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the peak")
SCRIPT = """
import json, sys, torch
from src.app.processes.process import prepare_process
from src.app.inference import give_back_large_blocks
prepare_process(); give_back_large_blocks()  # as predict and evaluate
from src.core.heap import given_back_at_once
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer
from src.app.build import make
from src.app.measure import peak_bytes
from tests.support.compose import compose_config
words, height, width, threads = json.loads(sys.argv[1])
torch.set_num_threads(threads)
net = make(compose_config(*words).model).eval()
image = torch.rand(1, net.in_channels, height, width)
restorer = Restorer(net, InferencePolicy(tile=None))
with given_back_at_once():  # nothing of this lies in the heap, as in a process that begins
    restorer(image[..., :48, :48])  # libraries and thread pools are in memory now
told = restorer.choice(image).need.bytes
print(json.dumps([told, peak_bytes(lambda: restorer(image), image.device)]))
"""
PANET = ("model=panet", "model.blocks=4")
CSNLN = ("task=super_resolution", "model=csnln", "model.depth=2")


def told_and_taken(
    *words: str, size: tuple[int, int], threads: int = 1, chunked: bool = False
) -> tuple[float, float]:
    case = json.dumps([words, *size, threads])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, case],
        cwd=ROOT,
        env=os.environ | ({"EXEMPLAR_NATIVE": "0"} if chunked else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    told, taken = json.loads(done.stdout.splitlines()[-1])
    return told, taken


def check(told: float, taken: float) -> None:
    assert abs(told / taken - 1) < 0.2, f"told {told / 2**20:.0f} MiB, took {taken / 2**20:.0f}"


def _name(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.mark.slow  # processes that run networks on images large enough to measure
@linux
@pytest.mark.parametrize(
    ("words", "size"),
    [
        (("model=dncnn",), (480, 400)),
        (("model=nafnet",), (384, 320)),
        (("model=edsr_tiny", "model/attention=none"), (640, 480)),
        (("model=panet_tiny",), (384, 320)),
        (("model=panet_tiny", "model/attention=pyramid_local"), (384, 320)),
        (("model=restormer",), (160, 128)),
        (("model=edsr_tiny", "model/attention=channel", "task=super_resolution"), (320, 300)),
    ],
    ids=_name,
)
def test_what_is_told_is_right_within_a_fifth(
    words: tuple[str, ...], size: tuple[int, int]
) -> None:
    check(*told_and_taken(*words, size=size))


@pytest.mark.slow  # as above
@linux
@pytest.mark.parametrize("chunked", [False, True], ids=["native", "chunked"])
@pytest.mark.parametrize(
    ("words", "size"),
    [
        (PANET, (96, 136)),
        (PANET, (160, 120)),
        ((*CSNLN, "task.scale=2"), (132, 56)),
        ((*CSNLN, "task.scale=2"), (132, 80)),
        ((*CSNLN, "task.scale=3"), (132, 42)),
        ((*CSNLN, "task.scale=4"), (132, 24)),
    ],
    ids=_name,
)
def test_it_is_so_with_the_papers_networks(
    words: tuple[str, ...], size: tuple[int, int], *, chunked: bool
) -> None:
    check(*told_and_taken(*words, size=size, chunked=chunked))


@pytest.mark.slow  # as above
@linux
def test_it_is_so_with_two_threads() -> None:
    check(*told_and_taken(*PANET, size=(96, 136), threads=2))


def test_results_count_as_long_as_something_refers_to_them() -> None:
    class Chain(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            kept = image * 2
            for _ in range(5):
                image = image + 1
            return torch.cat([kept, image])

    found = footprint(Chain(), (1, 1, 8, 8), torch.float32, CPU)
    assert found is not None
    assert found.bytes == 4 * (64 + 64 + 128)  # kept, the last sum, their concatenation


def test_weights_and_input_do_not_count_nor_do_views_of_them() -> None:
    net = nn.Linear(8, 8, bias=False)
    found = footprint(net, (1, 1, 4, 8), torch.float32, CPU)
    assert found is not None
    assert found.bytes == 4 * 32
    assert found.flops == 2 * 4 * 8 * 8


def test_tracing_leaves_no_trace_in_the_network_also_under_autocast() -> None:
    shared = nn.PReLU()  # one module under two names, as in PANet
    net = nn.Sequential(nn.Conv2d(3, 4, 3), shared, nn.Conv2d(4, 3, 1), shared)
    image = torch.rand(1, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        footprint(net, (1, 3, 16, 16), torch.float32, CPU)
        assert type(net(image)) is torch.Tensor
    assert all(type(weight.data) is torch.Tensor for weight in net.parameters())


def test_a_network_whose_shapes_depend_on_values_cannot_be_told() -> None:
    class Fickle(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image[image > 0]

    assert footprint(Fickle(), (1, 1, 4, 4), torch.float32, CPU) is None


def test_fused_attention_on_the_cpu_counts_its_products_too() -> None:
    pixels = torch.zeros(1, 1, 30, 4, requires_grad=True)  # batch, heads, pixels, channels
    products = 2 * 30 * 30 * 4
    with FlopCounterMode(display=False, custom_mapping=dict(FLOPS)) as counter:
        attended = scaled_dot_product_attention(pixels, pixels, pixels)
        assert counter.get_total_flops() == 2 * products
        attended.sum().backward()
    assert counter.get_total_flops() == (2 + 5) * products  # backward makes the scores again


def test_every_operator_of_ours_says_its_products_and_its_memory() -> None:
    ours = {name for name in dir(torch.ops.exemplar) if not name.startswith("_")} - {"name"}
    counted = {str(operator).rpartition(".")[2] for operator in FLOPS}
    assert ours <= counted
    forward = {name for name in ours if not name.endswith("backward")}
    assert forward <= {str(operator).split(".")[1] for operator in WORKSPACE}


@pytest.mark.parametrize("block", [NonLocalAttention, InScaleNonLocalAttention])
def test_attention_between_pixels_holds_no_scores(block: Callable[[int], nn.Module]) -> None:
    """Whatever the memory order: fused attention takes only what is laid out by pixels."""
    features = torch.zeros(1, 8, 64, 64)
    for order in (torch.contiguous_format, torch.channels_last):
        net = block(8).to(memory_format=order)
        found = footprint(net, features.shape, torch.float32, CPU)
        assert found is not None
        assert found.bytes < 4 * 64**4 / 16


def test_a_whole_image_that_cannot_be_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net = make(compose_config("model=panet_tiny", "model.blocks=2", "model.channels=8").model)
    image = (1, 3, 200, 200)
    need = footprint(net, image, torch.float32, CPU)
    assert need is not None
    monkeypatch.setattr(choice, "free_bytes", lambda _: need.bytes // 2)
    with pytest.raises(DataError, match=r"200×200 pixels, needs about .* inference.tile=auto"):
        choice.choose(net, image, CPU, tile=None, overlap=16)
    assert choice.choose(net, image, CPU, tile="auto", overlap=16).tile in choice.GLOBAL_TILES
    monkeypatch.setattr(choice, "free_bytes", lambda _: need.bytes)
    assert choice.choose(net, image, CPU, tile=None, overlap=16).tile is None
