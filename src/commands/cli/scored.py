"""A job of a sweep that could end without a score is refused before the first one starts."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from src.app.build import build_data, with_sets
from src.core.errors import ConfigError
from src.data.datamodule import RestorationData
from src.metrics.direction import check_monitors, monitor_mode


def refuse_unscored(config: Mapping[str, Any]) -> None:
    """Refuse a training whose validation would not give the score that ``monitor`` names.

    Args:
        config: Of ``src.train``, plain and resolved.

    Raises:
        ConfigError: Saying what is missing.
    """
    if config["trainer"].get("limit_val_batches") == 0:
        raise ConfigError(
            "trainer.limit_val_batches=0: nothing would be validated, so that no job of this sweep "
            "would have a score. Leave it out."
        )
    cfg = DictConfig(dict(config))
    data = build_data(cfg if cfg.get("sets") is None else with_sets(cfg))
    # Data of one's own alone know what they score.
    benchmarks = data.benchmark_names if isinstance(data, RestorationData) else None
    if benchmarks is not None and not benchmarks:
        raise ConfigError(
            "There is no image to score, so that no job of this sweep would have a score. Set "
            "data.val_dir=<folder>, or choose data that has benchmarks."
        )
    check_monitors(config, benchmarks)
    monitor_mode(config)
