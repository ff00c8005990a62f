"""What a run rests on outside of its folder, images and code, compared when it goes on."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from lightning import Callback, LightningModule, Trainer

from src.core.errors import ConfigError
from src.core.origin import code, origin
from src.data.datamodule import RestorationData

ACCEPT = "accept_changes"
"""The key by which a run goes on although they are others."""

logger = logging.getLogger(__name__)


def sources(trainer: Trainer) -> dict[str, Any]:
    """Return version, commit and a hash of the code, and the fingerprint of each image set."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    sets = data.fingerprints if isinstance(data, RestorationData) else {}
    return {**origin(), "code": code(), "images": sets}


@dataclass(eq=False)
class SameSources(Callback):
    """Compare, as soon as the images are opened and before anything is written."""

    before: Mapping[str, Any]  # in the checkpoint; what it does not have is not compared
    go_on: Callable[[list[str]], None]  # called with the differences when the run goes on
    _: KW_ONLY
    accepted: bool  # whether to go on all the same

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compare; ConfigError if there is a difference that was not accepted."""
        changes = differences(self.before, sources(trainer))
        listed = "\n  ".join(changes)
        if changes and not self.accepted:
            raise ConfigError(
                f"This run began with other images or other code:\n  {listed}\n"
                "  Put back what was there, or go on with what is there now:  "
                f"{ACCEPT}=true  (noted in resumed.jsonl)"
            )
        if changes:
            logger.warning("The run goes on with changes, as you asked:\n  %s", listed)
        self.go_on(changes)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each of the ``sources`` that is another one now."""
    changes = []
    if before.get("code", now["code"]) != now["code"]:
        old, new = (f"{one['version']}, commit {one['commit']}" for one in (before, now))
        changes.append(f"code: files of this package have changed (before {old}; now {new})")
    old_sets, new_sets = before.get("images", now["images"]), now["images"]
    for name in old_sets.keys() | new_sets.keys():
        change = _of_set(old_sets.get(name), new_sets.get(name))
        changes += [f"images of {name}: {change}"] if change else []
    return sorted(changes)


def _of_set(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    if before is None or now is None:
        return "not used before" if before is None else "not used any more"
    if before.get("count") != now["count"]:
        return f"{before.get('count')} before, {now['count']} now: some were added or removed"
    if before.get("names") != now["names"]:
        return f"{now['count']} as before, of other names: some were renamed or replaced"
    if before.get("contents") != now["contents"]:
        return f"{now['count']} of the same names, and some have another content"
    return ""
