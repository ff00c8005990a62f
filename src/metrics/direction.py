"""Of which scores more is better: whatever ranks, saves, prunes or marks asks here."""

from collections.abc import Mapping
from typing import Any, Literal

from src.core.errors import ConfigError, did_you_mean
from src.core.registry import locate

KNOWN = {
    **dict.fromkeys(("psnr", "psnr_b", "ssim", "ssim_uniform", "ms_ssim"), True),
    **dict.fromkeys(("lpips", "dists", "loss", "l1", "mae", "mse", "rmse"), False),
}
"""Name of a score or of its function → whether more is better; ours, and what all agree on."""
Mode = Literal["min", "max"]


def higher_is_better(name: str, metrics: Mapping[str, Any] | None = None) -> bool | None:
    """Return whether more of a score is better; None where nothing says so.

    A metric's own ``higher_is_better`` counts first, which torchmetrics' classes have; then the
    name of its function, then the name of the score, in ``KNOWN``.

    Args:
        name: As logged, e.g. ``psnr``, ``val/set5/lpips``, ``train/loss`` or ``val/psnr_input``.
        metrics: Score → its function, a dotted name of it, or a node with such a ``_target_``.
    """
    score = name.rpartition("/")[2].removesuffix("_input")
    metric = (metrics or {}).get(score)
    metric = metric.get("_target_") if isinstance(metric, Mapping) else metric
    metric = locate(metric) if isinstance(metric, str) else metric
    metric = getattr(metric, "func", metric)  # of a functools.partial
    declared = getattr(metric, "higher_is_better", None)
    if declared is not None:
        return bool(declared)
    return KNOWN.get(getattr(metric, "__name__", score), KNOWN.get(score))


def monitor_mode(config: Mapping[str, Any]) -> Mode:
    """Return whether the least (``min``) or the most (``max``) of the monitored score is best.

    Args:
        config: Of ``src.train``: ``monitor``, ``metrics``, and ``monitor_mode``, which wins.

    Raises:
        ConfigError: If nothing says it, or ``monitor_mode`` is neither.
    """
    stated, monitor = config.get("monitor_mode"), str(config["monitor"])
    if stated in {"min", "max"}:
        return "min" if stated == "min" else "max"
    if stated is not None:
        raise ConfigError(f"monitor_mode={stated}: min or max; null asks the metric.")
    more = higher_is_better(monitor, config.get("metrics"))
    if more is None:
        raise ConfigError(
            f"monitor={monitor}: neither its metric nor its name says whether more or less is "
            "better. Add monitor_mode=min or monitor_mode=max, or give the metric an attribute "
            f"higher_is_better.{_nearest(monitor, config.get('metrics') or {})}"
        )
    return "max" if more else "min"


def _nearest(monitor: str, metrics: Mapping[str, Any]) -> str:
    """Return what may have been meant where no metric has the name."""
    if not monitor.startswith("val/") or monitor.rpartition("/")[2] in metrics:
        return ""
    return f" {did_you_mean(monitor, [f'val/{name}' for name in metrics])}"
