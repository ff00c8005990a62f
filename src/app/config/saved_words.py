"""The saved command line of a run folder, which comes from anywhere as a checkpoint does."""

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from src.app.config.options import read_primary
from src.weights.untrusted import Reading, check_config

_REFERENCE = re.compile(r"\$\{[\w.]+\}")


def check_overrides(source: Path, overrides: Sequence[str]) -> None:
    """Refuse the saved words of a run folder if they say more than values and choices.

    Raises:
        UntrustedError: Naming the word, or as :func:`check_config`.
    """
    for text in overrides:
        _check_override(source, text)


def _check_override(source: Path, text: str) -> None:
    reading = Reading(f"{source}: {text!r}")
    try:
        # A plain reference reads another key of the same configuration, and nothing else.
        override = OverridesParser.create().parse_override(_REFERENCE.sub("reference", text))
        value = override.value()
    except HydraException:
        reading.refuse("it is not of the form key=value")
    if override.is_sweep_override():
        reading.refuse("a run has one value of each key")
    key = override.key_or_group
    if "hydra" in {re.split(r"[./]", key)[0], str(override.package).partition(".")[0]}:
        reading.refuse("a run folder may not say how Hydra works")
    if _is_choice(override) and re.search(r"\.\.|(^|['\" ])/", str(value)):
        reading.refuse("it chooses a file outside of the configuration folders")
    *above, last = re.split(r"[./]", key)
    node: object = {last: value}
    for name in reversed(above):
        node = {name: node}
    check_config(reading.source, node)


def _is_choice(override: Override) -> bool:
    """Say whether an override may choose an option of a group, rather than set a value."""
    key = override.key_or_group
    return "." not in key and key not in read_primary("train").values
