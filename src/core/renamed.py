"""Where components of earlier versions live now: files made then still name the old places."""

from collections.abc import Mapping
from typing import Any

TARGET = "_target_"

MOVED = {
    "src.tasks.": "src.training.tasks.",
    "src.callbacks.": "src.training.callbacks.",
    "src.runtime.loggers.": "src.training.loggers.",
    "src.runtime.distributed.strategy.": "src.training.strategy.",
    "src.data.folders.folder_data": "src.data.datamodule.RestorationData",
}
"""Old beginning of a dotted name → the new one."""


def current_name(dotted: str) -> str:
    """Return the name by which a component that an earlier version called ``dotted`` is found."""
    for old, new in MOVED.items():
        if dotted.startswith(old):
            return new + dotted.removeprefix(old)
    return dotted


def with_current_names(node: Any) -> Any:  # noqa: ANN401
    """Return a plain configuration with every ``_target_`` by its current name."""
    if isinstance(node, Mapping):
        return {
            key: current_name(value)
            if key == TARGET and isinstance(value, str)
            else with_current_names(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [with_current_names(item) for item in node]
    return node
