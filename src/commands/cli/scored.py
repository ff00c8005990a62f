"""A job of a sweep that could end without a score is refused before the first one starts."""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from src.app.build import make
from src.core.errors import ConfigError, did_you_mean
from src.data.datamodule import RestorationData
from src.metrics.direction import monitor_mode


def refuse_unscored(config: Mapping[str, Any]) -> None:
    """Refuse a training whose validation would not give the score that ``monitor`` names.

    Args:
        config: Of ``src.train``, plain and resolved.

    Raises:
        ConfigError: Saying what is missing.
    """
    monitor_mode(config)
    if config["trainer"].get("limit_val_batches") == 0:
        raise ConfigError(
            "trainer.limit_val_batches=0: nothing would be validated, so that no job of this sweep "
            "would have a score. Leave it out."
        )
    data = make(OmegaConf.create(config["data"]))
    if not isinstance(data, RestorationData):  # of one's own: it alone knows what it scores
        return
    if not data.benchmark_names:
        raise ConfigError(
            "There is no image to score, so that no job of this sweep would have a score. Set "
            "data.val_dir=<folder>, or choose data that has benchmarks."
        )
    _check_monitor(str(config["monitor"]), list(config["metrics"]), data.benchmark_names)


def _check_monitor(monitor: str, metrics: list[str], benchmarks: tuple[str, ...]) -> None:
    if not monitor.startswith("val/"):
        return
    means = [*metrics, *(f"{metric}_input" for metric in metrics)]
    logged = [f"val/{name}" for name in means]
    logged += [f"val/{benchmark}/{name}" for benchmark in benchmarks for name in means]
    if monitor not in logged:
        raise ConfigError(
            f"monitor={monitor}: no validation of this sweep logs that. "
            f"{did_you_mean(monitor, logged)}"
        )
