"""Packages that only some commands need: the extras of pyproject.toml."""

from importlib.util import find_spec

from src.core.errors import ConfigError
from src.core.paths import INSTALLED


def need(package: str, *, extra: str, asked: str) -> None:
    """Refuse what cannot work without a package that is not installed.

    Args:
        package: Its import name.
        extra: The extra of pyproject.toml that brings it.
        asked: What asked for it, as typed.

    Raises:
        ConfigError: Saying how to install it.
    """
    if find_spec(package) is None:
        own = f"--constraint constraints.txt --editable '.[{extra}]'"
        what = f"'exemplar[{extra}]'" if INSTALLED else own
        raise ConfigError(
            f"{asked} needs the package {package!r}, which is not installed. Install it by\n"
            f"  python -m pip install {what}\n"
            f"or leave {asked} out."
        )
