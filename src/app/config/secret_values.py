"""A run saves its whole configuration; so no password or key may stand in it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from src.core.errors import ConfigError

_NAME = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
_SHORTEST = 8  # shorter values would be found by chance


def check_secrets(config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Refuse a configuration that holds the value of a secret environment variable.

    Args:
        config: The plain, resolved configuration.
        environment: Names and values; those that sound like a key or a password are secret.

    Raises:
        ConfigError: Naming the key and the variable, never the value.
    """
    secrets = {
        name: value
        for name, value in environment.items()
        if _NAME.search(name) and len(value) >= _SHORTEST
    }
    for path, text in _texts(config):
        for name, value in secrets.items():
            if value in text:
                raise ConfigError(
                    f"{path} holds the value of the environment variable {name}, and a run saves "
                    "its configuration in config.yaml and in checkpoints. Leave it out: whoever "
                    "needs it reads it from the environment."
                )


def _texts(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text of a plain configuration with its dotted key."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _texts(value, f"{path}.{key}".lstrip("."))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _texts(value, f"{path}[{index}]")
    elif isinstance(node, str):
        yield path, node
