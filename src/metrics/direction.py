"""Of which scores more is better: whatever ranks, saves, prunes or marks asks here."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from src.core.errors import ConfigError, did_you_mean
from src.core.registry import locate

KNOWN = {
    **dict.fromkeys(("psnr", "psnr_b", "ssim", "ssim_uniform", "ms_ssim"), True),
    **dict.fromkeys(
        ("lpips", "dists", "niqe", "brisque", "loss", "l1", "mae", "mse", "rmse"), False
    ),
}
"""Name of a score or of its function → whether more is better; ours, and what all agree on."""
Mode = Literal["min", "max"]

_ALWAYS_LOGGED = ("train/loss", "train/lr", "perf/images_per_s", "perf/data_wait")


def higher_is_better(name: str, metrics: Mapping[str, Any] | None = None) -> bool | None:
    """Return whether more of a score is better; None where nothing says so.

    A metric's own ``higher_is_better`` counts first, which torchmetrics' classes have; then the
    name of its function, then the name of the score, in ``KNOWN``.

    Args:
        name: As logged, e.g. ``psnr``, ``val/set5/lpips``, ``train/loss`` or ``val/psnr_input``.
        metrics: Score → its function, or a node with its dotted name as ``_target_``, which is
            imported: of a file from anywhere, check it before.
    """
    score = name.rpartition("/")[2].removesuffix("_input")
    metric = (metrics or {}).get(score)
    metric = locate(metric["_target_"]) if isinstance(metric, Mapping) else metric
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
            "higher_is_better."
        )
    return "max" if more else "min"


def check_monitors(config: Mapping[str, Any], benchmarks: Sequence[str] | None) -> None:
    """Refuse to watch a score that nothing logs, which else shows at the first validation.

    A task, data or a callback of one's own may log any name.

    Args:
        config: Of ``src.train``, plain: ``monitor``, ``metrics``, ``task`` and ``callbacks``.
        benchmarks: Names of the image sets that are scored; None where they are not known.

    Raises:
        ConfigError: With the nearest name that is logged.
    """
    callbacks = {
        name: node for name, node in config["callbacks"].items() if isinstance(node, Mapping)
    }
    parts = [config["task"], *callbacks.values()]
    ours = all(str(part.get("_target_")).startswith(("src.", "lightning.")) for part in parts)
    if benchmarks is None or not ours:
        return
    means = [name for metric in config["metrics"] for name in (metric, f"{metric}_input")]
    sets = ["val", *(f"val/{benchmark}" for benchmark in benchmarks)]
    logged = [*(f"{prefix}/{name}" for prefix in sets for name in means), *_ALWAYS_LOGGED]
    watched = {f"callbacks.{name}.monitor": node.get("monitor") for name, node in callbacks.items()}
    for key, name in {"monitor": config["monitor"], **watched}.items():
        if name is not None and name not in logged:
            near = did_you_mean(str(name), logged)
            raise ConfigError(f"{key}={name}: nothing in this run logs that. {near}")
