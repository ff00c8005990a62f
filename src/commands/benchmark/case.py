"""One case of a benchmark: all forms at one size, forward or with backward, with equal weights."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from src.commands.benchmark.forms import block_of, network_of
from src.commands.benchmark.measure import Weight, quartiles, time_in_turn, weigh
from src.commands.benchmark.record import Row
from src.core.seeding import generator_for, seed_from

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Case:
    """What is measured side by side.

    Attributes:
        kind: ``forward``, or ``training``: forward and backward, and Adam where a network is meant.
        side: Height and width of the input in pixels.
        forms: The first is what the others' results are compared with.
    """

    kind: str
    side: int
    forms: tuple[str, ...]


def weigh_case(cfg: DictConfig, case: Case, device: torch.device) -> dict[str, Weight]:
    """Return the memory and the operations of each form."""
    nets, features = _nets(cfg, case.forms, device), _features(cfg, case.side, device)
    return weigh({form: _call(cfg, case.kind, nets[form], features) for form in nets}, device)


def rows_of(
    cfg: DictConfig, case: Case, weights: Mapping[str, Weight], device: torch.device
) -> Iterator[Row]:
    """Yield what each form costs, timed in turn.

    Args:
        cfg: As conf/benchmark.yaml.
        case: What is measured.
        weights: From ``weigh_case``.
        device: Where to run.
    """
    nets, features = _nets(cfg, case.forms, device), _features(cfg, case.side, device)
    differences = _differences(cfg, nets, features)
    calls = {form: _call(cfg, case.kind, net, features) for form, net in nets.items()}
    seconds = time_in_turn(calls, runs=cfg.runs, warmup=cfg.warmup, device=device)
    for form, times in seconds.items():
        lower, median, upper = quartiles(times)
        yield Row(
            what=cfg.what,
            kind=case.kind,
            form=form,
            batch=cfg.batch,
            side=case.side,
            median=median,
            lower=lower,
            upper=upper,
            peak=weights[form].peak_bytes,
            flops=weights[form].flops,
            parameters=sum(held.numel() for held in nets[form].parameters()),
            difference=differences[form],
        )


def _features(cfg: DictConfig, side: int, device: torch.device) -> Tensor:
    channels = cfg.channels if cfg.what == "attention" else cfg.io.in_channels
    draw = torch.rand if cfg.what != "attention" else torch.randn
    generator = generator_for("cpu", "benchmark", cfg.seed)
    return draw((cfg.batch, channels, side, side), generator=generator).to(device)


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
    same = cfg.precision == "float32"
    return {
        form: math.nan if same and form == first else float((result - exact).abs().max())
        for form, result in results.items()
    }
