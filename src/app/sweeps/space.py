"""What a search may choose from: Hydra's sweep syntax as Optuna's distributions."""

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from src.core.errors import ConfigError


def split_overrides(
    parsed: list[Override],
) -> tuple[list[str], dict[str, BaseDistribution]]:
    """Return the overrides that are the same in all trials, and key → distribution.

    A later override of the same key wins.

    Raises:
        ConfigError: If a range is none, or nothing is left to choose.
    """
    latest = {override.get_key_element(): override for override in parsed}
    fixed = [str(o.input_line) for o in latest.values() if not o.is_sweep_override()]
    space = {key: _distribution(o) for key, o in latest.items() if o.is_sweep_override()}
    if not space:
        raise ConfigError(
            "hydra/sweeper=optuna has nothing to choose: give a key several values, e.g. "
            "'optimizer.lr=tag(log,interval(1e-5,1e-3))' or model/attention=none,pyramid."
        )
    return fixed, space


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            return _interval(value)
        if isinstance(value, RangeSweep):
            return _range(value)
    except ValueError as error:  # Optuna's own check of the bounds
        raise ConfigError(f"{override.input_line}: {error}") from error
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def _interval(sweep: IntervalSweep) -> BaseDistribution:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if low is None or high is None:
        raise ValueError("an interval needs two bounds")
    if "int" in sweep.tags:
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _range(sweep: RangeSweep) -> BaseDistribution:
    values = list(sweep.range())
    if not values:
        raise ValueError("the range is empty")
    if all(isinstance(value, int) for value in values):
        return IntDistribution(int(values[0]), int(values[-1]), step=int(sweep.step))
    return FloatDistribution(float(values[0]), float(values[-1]), step=float(sweep.step))
