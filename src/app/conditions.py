"""Levels at which one degradation is scored: σ, JPEG quality, Bayer phase."""

import logging
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig

from src.core.errors import ConfigError

logger = logging.getLogger(__name__)

LEVELS = {"sigma": "gaussian", "quality": "jpeg", "phase": "mosaic"}
"""What is given beside a degradation, and the degradation that has it."""


def set_level(degradation: DictConfig, key: str, level: float | str) -> None:
    """Change a degradation to the one level at which it is scored.

    Args:
        degradation: Its node.
        key: One of ``LEVELS``.
        level: The level.

    Raises:
        ConfigError: If the degradation has no such key.
    """
    if key not in degradation:
        kind = str(degradation["_target_"]).split(".")[-2]
        if kind == "identity":
            raise ConfigError(
                f"{key}={level}: nothing is degraded here, as with pairs; leave it out."
            )
        raise ConfigError(
            f"{key}={level}: the degradation {kind} has no {key}; leave it out, or take "
            f"degradation={LEVELS.get(key, 'another')}."
        )
    if key == "phase" and degradation.phase not in {"random", level}:
        logger.warning("phase=%s: the network was trained for phase %s.", level, degradation.phase)
    degradation[key] = level if key == "phase" else [level, level]


def conditions_of(cfg: DictConfig) -> dict[str, DictConfig]:
    """Return name, e.g. ``sigma_15``, → the degradation of each condition of ``val_conditions``.

    Raises:
        ConfigError: If it is not one key with its levels, or the degradation has no such key.
    """
    given: Mapping[str, Any] = cfg.get("val_conditions") or {}
    nodes = {}
    for key, levels in given.items():
        kind = str if key == "phase" else int | float
        listed = isinstance(levels, list | tuple | ListConfig) and len(levels) > 0
        fits = listed and all(isinstance(level, kind) for level in levels)
        if key not in LEVELS or len(given) > 1 or not fits or len({*levels}) < len(levels):
            raise ConfigError(
                f"val_conditions={dict(given)} must be levels of one of {', '.join(LEVELS)}, each "
                "once, e.g. val_conditions={sigma:[15,25,50]}."
            )
        for level in levels:
            node = cfg.degradation.copy()
            set_level(node, key, level)
            nodes[f"{key}_{level}"] = node
    return nodes
