"""`precision=`: float32 stays as it was, bfloat16 is near it, and auto takes what is as good."""

import pytest
import torch
from torch import Tensor, nn

from src.core.errors import ConfigError
from src.inference.policy import InferencePolicy
from src.inference.precision import ALIKE_DB, PROBED, Precision, Way, psnr_between
from src.inference.restorer import Restorer
from src.models.backbones.half_resolution import HalfResolution


class Clock:
    """The time that a network says it has taken: what is faster does not depend on the machine."""

    seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1e-3  # nothing takes no time
        return self.seconds


CLOCK = Clock()


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.inference.precision.perf_counter", CLOCK)


class Slow(nn.Module):
    """Takes longer in float32, far longer in bfloat16, or longer in one order of memory."""

    in_channels = out_channels = 3
    scale = multiple_of = min_size = 1
    global_context = False

    def __init__(self, *, offset: float = 0.0, waits: str = "in float32") -> None:
        super().__init__()
        self.first, self.middle, self.last = (nn.Conv2d(3, 3, 1, bias=False) for _ in range(3))
        for convolution in (self.first, self.middle, self.last):
            nn.init.dirac_(convolution.weight)
        self.offset, self.waits = offset, waits
        self.requires_grad_(requires_grad=False)

    def forward(self, degraded: Tensor) -> Tensor:
        last = degraded.is_contiguous(memory_format=torch.channels_last)
        bf16 = torch.is_autocast_enabled("cpu")
        slow = {"in rows": not last, "in float32": not bf16, "in bfloat16": 39 * bf16}[self.waits]
        CLOCK.seconds += 1 + slow
        features = self.middle(self.first(degraded) + self.offset) - self.offset
        restored: Tensor = self.last(features)
        return restored


@pytest.fixture
def image() -> Tensor:
    return torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))


def restorer(net: nn.Module, asked: str) -> Restorer:
    return Restorer(net, InferencePolicy(tile=None), Precision(asked))


@pytest.fixture
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return HalfResolution(3, 3, channels=16, blocks=2).eval()


def test_fp32_is_the_network_itself(network: nn.Module, image: Tensor) -> None:
    with torch.no_grad():
        expected = network(image)
    assert torch.equal(restorer(network, "fp32")(image), expected)


def test_fp32_is_the_same_after_bf16_and_channels_last(network: nn.Module, image: Tensor) -> None:
    before = restorer(network, "fp32")(image)
    for asked in ("bf16", "auto"):
        restorer(network, asked)(image)
    torch.testing.assert_close(restorer(network, "fp32")(image), before, rtol=0, atol=1e-6)


def test_bf16_is_near_and_float32(network: nn.Module, image: Tensor) -> None:
    exact, rounded = (restorer(network, asked)(image) for asked in ("fp32", "bf16"))
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    assert psnr_between(rounded, exact) > 60


def test_the_ends_stay_in_float32(image: Tensor) -> None:
    net = Slow()
    net.middle = nn.Identity()  # type: ignore[assignment]
    assert torch.equal(restorer(net, "bf16")(image), restorer(net, "fp32")(image))


def test_auto_takes_bf16_where_it_is_faster_and_as_good(image: Tensor) -> None:
    chosen = restorer(_accurate(), "auto")
    chosen(image)
    assert chosen.precision.way == Way(bf16=True)
    assert "2.00 × as fast as fp32 here" in chosen.describe()


def _accurate() -> nn.Module:
    """A network whose rounded part is a thousandth of its output."""
    net = Slow()

    class Residual(nn.Module):
        in_channels = out_channels = 3
        scale = multiple_of = min_size = 1
        global_context = False

        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, degraded: Tensor) -> Tensor:
            restored: Tensor = degraded + 1e-3 * self.net(degraded)
            return restored

    return Residual()


def test_auto_stays_in_fp32_where_bf16_moves_the_output(image: Tensor) -> None:
    chosen = restorer(Slow(offset=64.0), "auto")
    restored = chosen(image)
    assert chosen.precision.way == Way()
    exact = restorer(Slow(offset=64.0), "fp32")(image)
    assert psnr_between(restored, exact) > ALIKE_DB > psnr_between(_in_bf16(image), exact)


def _in_bf16(image: Tensor) -> Tensor:
    return restorer(Slow(offset=64.0), "bf16")(image)


def test_auto_takes_channels_last_where_that_is_faster(image: Tensor) -> None:
    chosen = restorer(Slow(offset=64.0, waits="in rows"), "auto")
    chosen(image)
    assert str(chosen.precision.way) == "fp32, channels-last"
    assert chosen.precision.for_record()["precision"]["used"] == "fp32, channels-last"


def test_auto_is_settled_once(image: Tensor) -> None:
    chosen = restorer(_accurate(), "auto")
    said = chosen.announce(image)
    chosen(image)
    assert chosen.announce(image) == said


def test_another_word_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="bf16"):
        Precision("bf61")


def test_auto_stays_in_fp32_where_the_output_is_no_number(image: Tensor) -> None:
    auto = restorer(Slow(offset=float("nan")), "auto")
    assert auto(image).isnan().all()
    assert auto.precision.way == Way()


def test_auto_gives_up_bf16_on_few_pixels_where_it_is_emulated(image: Tensor) -> None:
    net, widths = Slow(waits="in bfloat16"), set()

    def note(_: nn.Module, given: tuple[Tensor, ...], __: Tensor) -> None:
        if torch.is_autocast_enabled("cpu"):
            widths.add(given[0].shape[-1])

    net.middle.register_forward_hook(note)
    auto = restorer(net, "auto")
    auto(image)
    assert widths == {PROBED}
    assert auto.precision.way == Way()
    assert "bf16 takes 40 × the time of fp32 here" in str(auto.precision)
