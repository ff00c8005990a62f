"""A schedule that ends with the run: what another length does to it is said before it happens."""

from collections.abc import Sequence

import torch
from omegaconf import DictConfig, OmegaConf
from torch.optim.lr_scheduler import LambdaLR

from src.app.build import make
from src.core.errors import ConfigError


def refuse_unsaid_change(
    old: DictConfig, new: DictConfig, given: Sequence[str], followed: Sequence[str], step: int
) -> None:
    """Refuse a resume whose schedule would change only because something else was given.

    Args:
        old: The configuration of the run so far.
        new: That with which it would go on.
        given: The overrides that are new.
        followed: Those that follow from them.
        step: Optimizer steps done.

    Raises:
        ConfigError: With the learning rates, and what to give for one or the other.
    """
    if any(text.startswith("scheduler=") for text in given):
        return
    for text in followed:
        key, _, value = text.partition("=")
        if not key.startswith("scheduler.") or OmegaConf.select(old, key) is None:
            continue
        kept = f"{key}={OmegaConf.select(old, key)}"
        if kept != text:
            raise ConfigError(
                f"{' '.join(given)} would also change the learning-rate schedule, {kept} to "
                f"{value}, which nobody asked for{_jump(old, new, step)}. Give either\n"
                f"  {text}   the schedule of a run of that length, from this step on\n"
                f"  {kept}   the schedule as it was"
            )


def _jump(old: DictConfig, new: DictConfig, step: int) -> str:
    before, after = _rate(old, step), _rate(new, step)
    if before is None or after is None:
        return ""
    return f": the rate after step {step} would be {after:.4g} instead of {before:.4g}"


def _rate(cfg: DictConfig, step: int) -> float | None:
    """Return the learning rate after ``step`` optimizer steps; None where no formula gives it."""
    peak = OmegaConf.select(cfg, "optimizer.lr")
    if peak is None:
        return None
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=float(peak))
    schedule = make(cfg.scheduler)(optimizer)
    return float(peak) * schedule.lr_lambdas[0](step) if isinstance(schedule, LambdaLR) else None
