"""What is measured side by side: a block or a network of given size in each form, and its cost."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig
from torch import Tensor, nn

from src.app.measure import Weight, quartiles, time_in_turn, weigh
from src.commands.benchmark.forms import block_of, network_of
from src.commands.benchmark.record import Cost
from src.core.errors import ConfigError
from src.core.seeding import generator_for, seed_from


def input_size(given: object, scale: int, key: str = "sizes") -> tuple[int, int]:
    """Return height and width of the input that one entry of ``sizes`` means.

    Args:
        given: The side of a square, [height, width], or ``1280x720``: width and height of the
            output, as papers count the operations of super-resolution.
        scale: Of the network: size of the output over that of the input.
        key: What the entry is called in messages.

    Raises:
        ConfigError: If it is none of these.
    """
    output = re.fullmatch(r"(\d+)[x×](\d+)", str(given))
    pair: list[Any] = list(given) if isinstance(given, ListConfig) else [given, given]
    if output is not None:
        pair = [int(output[2]) // scale, int(output[1]) // scale]
    if len(pair) != 2 or not all(isinstance(side, int) and side >= 1 for side in pair):
        raise ConfigError(
            f"{key}={given} must be a whole number from 1 (a square), or [height,width], "
            "or width and height of the output, such as 1280x720."
        )
    return pair[0], pair[1]


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Case:
    """What is measured side by side."""

    kind: str  # forward, or training: forward and backward, and Adam where a network is meant
    height: int  # of the input in pixels
    width: int
    forms: tuple[str, ...]  # the others' results are compared with the first one's


def weigh_case(cfg: DictConfig, case: Case, device: torch.device) -> dict[str, Weight]:
    """Return the memory and the operations of each form."""
    nets, features = _nets(cfg, case.forms, device), _features(cfg, case, device)
    return weigh({form: _call(cfg, case.kind, nets[form], features) for form in nets}, device)


def costs_of(
    cfg: DictConfig, case: Case, weights: Mapping[str, Weight], device: torch.device
) -> Iterator[Cost]:
    """Yield what each form costs, timed in turn; ``weights`` come from ``weigh_case``."""
    nets, features = _nets(cfg, case.forms, device), _features(cfg, case, device)
    differences = _differences(cfg, nets, features)
    calls = {form: _call(cfg, case.kind, net, features) for form, net in nets.items()}
    seconds = time_in_turn(calls, runs=cfg.runs, warmup=cfg.warmup, device=device)
    for form, times in seconds.items():
        lower, median, upper = quartiles(times)
        yield Cost(
            what=cfg.what,
            kind=case.kind,
            form=form,
            batch=cfg.batch,
            side=case.height,
            width=None if case.width == case.height else case.width,
            median=median,
            lower=lower,
            upper=upper,
            peak=weights[form].peak_bytes,
            flops=weights[form].flops,
            parameters=sum(weights.numel() for weights in nets[form].parameters()),
            difference=differences[form],
        )


def _features(cfg: DictConfig, case: Case, device: torch.device) -> Tensor:
    channels = cfg.channels if cfg.what == "attention" else cfg.io.in_channels
    draw = torch.rand if cfg.what != "attention" else torch.randn
    generator = generator_for("cpu", "benchmark", cfg.seed)
    return draw((cfg.batch, channels, case.height, case.width), generator=generator).to(device)


def _nets(cfg: DictConfig, forms: Sequence[str], device: torch.device) -> dict[str, nn.Module]:
    """Build the block or network in each form, all with the same weights."""
    nets: dict[str, nn.Module] = {}
    for form in forms:
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(seed_from("weights", cfg.seed))
            attention = cfg.what == "attention"
            net = block_of(form, cfg.channels) if attention else network_of(form, cfg.model)
        nets[form] = net.to(device)
    return nets


def _call(cfg: DictConfig, kind: str, net: nn.Module, features: Tensor) -> Callable[[], object]:
    """Return what is timed: inference, forward and backward, or a step with Adam."""
    forward = partial(_forward, cfg, net)
    if kind == "forward":
        return partial(_infer, forward, features)
    if cfg.what == "attention":
        leaf = features.clone().requires_grad_()
        return partial(_forward_backward, forward, net, leaf)
    return partial(_step, forward, net, features, torch.optim.Adam(net.parameters()))


def _forward(cfg: DictConfig, net: nn.Module, features: Tensor) -> Tensor:
    dtype = PRECISIONS[cfg.precision]
    with torch.autocast(features.device.type, dtype, enabled=dtype != torch.float32):
        result: Tensor = net(features)
    return result


def _infer(forward: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    with torch.no_grad():
        return forward(features)


def _forward_backward(forward: Callable[[Tensor], Tensor], net: nn.Module, leaf: Tensor) -> None:
    net.zero_grad()
    leaf.grad = None
    torch.autograd.backward(forward(leaf).float().square().mean())


def _step(
    forward: Callable[[Tensor], Tensor],
    net: nn.Module,
    degraded: Tensor,
    optimizer: torch.optim.Optimizer,
) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(forward(degraded).float().abs().mean())
    optimizer.step()


def _differences(cfg: DictConfig, nets: dict[str, nn.Module], features: Tensor) -> dict[str, float]:
    """Return the largest difference of each form's result to the first form's in float32.

    It is taken before training; for the first form itself it says what a lower precision costs.
    """
    first = next(iter(nets))
    exact = _infer(nets[first], features)
    results = {form: _infer(partial(_forward, cfg, net), features) for form, net in nets.items()}
    same = cfg.precision == "fp32"
    return {
        form: math.nan if same and form == first else float((result - exact).abs().max())
        for form, result in results.items()
    }
