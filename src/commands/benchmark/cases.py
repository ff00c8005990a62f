"""What is measured side by side: the forms of pyramid attention, in blocks and in networks."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from hydra.utils import instantiate
from jaxtyping import Float
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import Tensor, nn

from src.commands.benchmark.measure import Weight, quartiles, time_in_turn, weigh
from src.commands.benchmark.record import Cost
from src.core.errors import ConfigError, did_you_mean
from src.core.seeding import generator_for, seed_from
from src.models.attention.pyramid import PyramidAttention
from src.models.attention.pyramid_local import LocalPyramidAttention
from src.ops.attention.dense import dense_patch_attention, per_sample_patch_attention

AS_CONFIGURED = "as_configured"
"""The form that a network's own configuration chooses."""


class _OldForm(PyramidAttention):
    """Pyramid attention by one of the forms that hold all scores."""

    operator: Callable[..., Tensor]

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Attend over all scales of ``features``."""
        levels = [self._shrink(features, scale) for scale in self.scales]
        attended = type(self).operator(
            self.query(features),
            [self.key(level) for level in levels],
            [self.value(level) for level in levels],
            softmax_scale=self.softmax_scale,
            min_norm=self.min_norm,
        )
        return attended + self.residual_scale * features


class PapersPyramidAttention(_OldForm):
    """As the authors compute it: convolutions whose kernels are the sample's own patches."""

    operator = staticmethod(per_sample_patch_attention)


class DensePyramidAttention(_OldForm):
    """By unfold, one product, softmax, another product, fold."""

    operator = staticmethod(dense_patch_attention)


FORMS: dict[str, tuple[type[PyramidAttention], dict[str, str]]] = {
    "papers": (PapersPyramidAttention, {}),
    "dense": (DensePyramidAttention, {}),
    "chunked": (PyramidAttention, {"implementation": "chunked"}),
    "native": (PyramidAttention, {"implementation": "native"}),
    "local": (LocalPyramidAttention, {}),
    "local_chunked": (LocalPyramidAttention, {"implementation": "chunked"}),
}
USUAL = tuple(form for form in FORMS if form != "local_chunked")
"""What is measured where nothing is said; without a kernel ``local`` is the one left out."""

COPIES: Mapping[str, Mapping[str, float]] = {
    "forward": {"papers": 4, "dense": 3},
    "training": {"papers": 4.5, "dense": 4.5},
}
"""How often the forms that hold a score for each pair of pixels hold it, as measured, about."""


def chosen_forms(cfg: DictConfig) -> list[str]:
    """Return the forms to measure: those of ``cfg.forms``, or what suits ``cfg.what``.

    Raises:
        ConfigError: If there is no such form, with the nearest names.
    """
    if cfg.forms is None:
        has_pyramid = cfg.what == "training" and _is_pyramid(cfg.model.get("attention"))
        return [*USUAL] if cfg.what == "attention" or has_pyramid else [AS_CONFIGURED]
    forms = OmegaConf.to_container(cfg.forms) if isinstance(cfg.forms, ListConfig) else None
    allowed = [*FORMS] if cfg.what == "attention" else [*FORMS, AS_CONFIGURED]
    if not isinstance(forms, list) or not forms:
        raise ConfigError(f"forms={cfg.forms} must be a list, of {', '.join(allowed)}; or null.")
    forms = ["chunked" if form == "plain" else form for form in forms]  # its name before
    for form in forms:
        if form not in allowed:
            raise ConfigError(f"forms: there is no {form!r}. {did_you_mean(str(form), allowed)}")
    return [str(form) for form in forms]


def block_of(form: str, channels: int) -> PyramidAttention:
    """Build a pyramid attention block of ``channels`` in the given form, with fresh weights."""
    cls, options = FORMS[form]
    built: PyramidAttention = cls(channels, **options)  # type: ignore[arg-type]
    return built


def network_of(form: str, model: DictConfig) -> nn.Module:
    """Build the network of ``model`` with its pyramid attention in the given form.

    Raises:
        ConfigError: If the network has no pyramid attention that could take another form.
    """
    node = OmegaConf.to_container(model, resolve=True)
    if not isinstance(node, dict):
        raise TypeError("model is no mapping")
    if form != AS_CONFIGURED:
        attention = node.get("attention")
        if not isinstance(attention, dict) or not _is_pyramid(attention):
            raise ConfigError(
                f"forms: {form} needs a model with model/attention=pyramid; "
                f"for any other take forms=[{AS_CONFIGURED}]."
            )
        cls, options = FORMS[form]
        unknown = {"memory_budget"} if cls is LocalPyramidAttention else set()
        common = {key: value for key, value in attention.items() if key not in unknown}
        node["attention"] = {**common, "_target_": f"{cls.__module__}.{cls.__name__}", **options}
    net: nn.Module = instantiate(node, _convert_="all")
    return net


def _is_pyramid(attention: object) -> bool:
    if not isinstance(attention, Mapping | DictConfig):
        return False
    return str(attention.get("_target_", "")).endswith(".PyramidAttention")


def bytes_of_scores(form: str, kind: str, batch: int, side: int) -> int:
    """Return about how much memory the scores of ``form`` take, all their copies.

    The papers' form holds one sample's at a time, but all samples' where there is a backward.
    """
    keys = sum(int(side * (1 - level / 10)) ** 2 for level in range(5))
    samples = 1 if form == "papers" and kind == "forward" else batch
    return int(COPIES[kind].get(form, 0) * 4 * samples * side**2 * keys)


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


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


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
    same = cfg.precision == "float32"
    return {
        form: math.nan if same and form == first else float((result - exact).abs().max())
        for form, result in results.items()
    }
