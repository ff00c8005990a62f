"""In which precision a network restores: float32, bfloat16, or the faster if scores stay alike."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from src.core.errors import ConfigError, did_you_mean

ASKED = ("fp32", "bf16", "auto")

ALIKE_DB = 72.0
"""PSNR of a way's output against float32's, clipped to [0, 1], from which ``auto`` may take it.

What differs is rounding, and the error of a network that was trained to predict the mean of what
is possible is uncorrelated with whatever can be computed from its input. A score of s dB then falls
by 10·log10(1 + 10^((s - 72)/10)): 0.009 dB at s = 45, 0.003 dB at 40. A correlation c between the
two moves it by up to 8.7·c·10^((s - 72)/20) more: at s = 40 by 0.007 dB for c = 0.03, which was the
most in eight crops of test images through networks of the zoo.
"""

FASTER = 1.15
"""How many times as fast as float32 another way must be to be taken."""

SIDE = 160
"""Side in pixels of the part of the first image that is timed, at most."""

ROUNDS = 2

PROBED = 32
"""Side in pixels of the part on which bfloat16 may show that the processor only emulates it."""

HOPELESS = 4
"""How many times as slow as float32 that is: without instructions for it, 40 on 160 pixels."""


@dataclass(frozen=True)
class Way:
    """One way of computing."""

    bf16: bool = False
    channels_last: bool = False

    def __str__(self) -> str:
        return ("bf16" if self.bf16 else "fp32") + ", channels-last" * self.channels_last


class Precision:
    """How a network computes, settled by its first image.

    In ``bf16`` products and convolutions are rounded to bfloat16 by autocast, but for the first and
    the last convolution: with them the trunk's sum stays in float32, and the outputs come ten
    decibels nearer.

    Args:
        asked: ``fp32``, ``bf16``, or ``auto``: the fastest way on this machine whose output is
            as good as that of float32 (``ALIKE_DB``), by a measurement.

    Attributes:
        way: What was settled.
        why: Of ``auto``, in words; else empty.

    Raises:
        ConfigError: If ``asked`` is none of these.
    """

    def __init__(self, asked: str = "fp32") -> None:
        if asked not in ASKED:
            raise ConfigError(f"precision={asked}: {did_you_mean(asked, ASKED)}")
        self.asked = asked
        self.way: Way | None = None if asked == "auto" else Way(bf16=asked == "bf16")
        self.why = ""
        self._arranged = False

    def __str__(self) -> str:
        return "precision not settled yet" if self.way is None else f"{self.way}{self.why}"

    def for_record(self) -> dict[str, Any]:
        """Return what was asked and what came of it; nothing for ``fp32``, as in records before."""
        if self.asked == "fp32":
            return {}
        said = {"asked": self.asked, "used": str(self.way), "why": self.why.strip(" ()")}
        return {"precision": said}

    def settle(self, net: Callable[[Tensor], Tensor], image: Tensor) -> None:
        """Choose by the middle of ``image`` (B, C, H, W), unless that is done."""
        if self.way is None:
            top, left = ((side - min(side, SIDE)) // 2 for side in image.shape[-2:])
            self._measure(net, image[:1, :, top : top + SIDE, left : left + SIDE])

    def _measure(self, net: Callable[[Tensor], Tensor], sample: Tensor) -> None:
        exact, bf16 = Way(), Way(bf16=True)
        probed, _ = self._timed(net, sample[..., :PROBED, :PROBED], [exact, bf16], turns=2)
        slower = probed[bf16] / probed[exact]
        ways = [exact, Way(channels_last=True)]
        if slower < HOPELESS:
            ways += [bf16, Way(bf16=True, channels_last=True)]
        self._timed(net, sample, ways, turns=1)  # warms up
        seconds, outputs = self._timed(net, sample, ways, turns=ROUNDS)
        apart = {way: psnr_between(outputs[way], outputs[exact]) for way in ways}
        good = [way for way in ways if way == exact or apart[way] >= ALIKE_DB]
        fastest = min(good, key=seconds.__getitem__)
        gain = seconds[exact] / seconds[fastest]
        self.way = fastest if gain >= FASTER else exact
        words = f"{gain:.2f} × as fast as fp32 here, outputs {apart[fastest]:.1f} dB alike"
        if self.way == exact:
            words = f"the fastest other way is {gain:.2f} × as fast, {FASTER} are asked for"
            if bf16 not in ways:
                words = f"bf16 takes {slower:.0f} × the time of fp32 here"
            elif (
                not (alike := max(apart[way] for way in ways if way.bf16)) >= ALIKE_DB
            ):  # or no number
                words = f"bf16 {alike:.1f} dB alike, {ALIKE_DB:.0f} are asked for"
        self.why = f" ({words})"

    def _timed(
        self, net: Callable[[Tensor], Tensor], sample: Tensor, ways: list[Way], turns: int
    ) -> tuple[dict[Way, float], dict[Way, Tensor]]:
        """Return the least seconds of each way and what it makes of ``sample``, clipped."""
        seconds = dict.fromkeys(ways, math.inf)
        outputs: dict[Way, Tensor] = {}
        for _ in range(turns):
            for self.way in ways:
                start = perf_counter()
                outputs[self.way] = net(sample).clamp(0, 1).cpu()  # which waits for a card
                seconds[self.way] = min(seconds[self.way], perf_counter() - start)
        return seconds, outputs

    def run(self, net: nn.Module, image: Tensor) -> Tensor:
        """Return what ``net`` makes of ``image`` (B, C, H, W), as float32.

        Without :meth:`settle` before, ``auto`` computes in float32.
        """
        way = self.way or Way()
        if way.channels_last != self._arranged:
            order = torch.channels_last if way.channels_last else torch.contiguous_format
            net.to(memory_format=order)  # type: ignore[call-overload]
            self._arranged = way.channels_last
        if way.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        if not way.bf16:
            restored: Tensor = net(image)
            return restored.float()
        _keep_ends(net)
        with torch.autocast(image.device.type, torch.bfloat16):
            return net(image).float()  # type: ignore[no-any-return]


def psnr_between(one: Tensor, other: Tensor) -> float:
    """Return the PSNR in dB of one image in [0, 1] against another; infinite where they equal."""
    error = float((one.double() - other.double()).square().mean())
    return -10 * math.log10(error) if error else math.inf


def _keep_ends(net: nn.Module) -> None:
    """Let the first and the last convolution compute in float32 whatever autocast says."""
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    for module in {id(one): one for one in convolutions[:1] + convolutions[-1:]}.values():
        if not isinstance(module.forward, partial):
            module.forward = partial(_in_float32, module.forward)  # type: ignore[method-assign]


def _in_float32(forward: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    with torch.autocast(features.device.type, enabled=False):
        return forward(features.float())
