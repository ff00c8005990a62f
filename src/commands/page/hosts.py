"""By which names requests may call the server: pages of others must not pass for it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from omegaconf import DictConfig

from src.core.errors import ConfigError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def hosts_of(cfg: DictConfig) -> frozenset[str] | None:
    """Return the names that requests may call the server by; None: any.

    A page elsewhere may have its name stand for this machine (DNS rebinding), so that a browser
    takes an answer from here for one of its own: what only this machine reaches answers to this
    machine's names alone.

    Raises:
        ConfigError: If ``hosts`` has what is no name.
    """
    given = [cfg.hosts] if isinstance(cfg.hosts, str) else cfg.hosts or []
    for name in given:
        if host_of(str(name)) != str(name).lower():
            raise ConfigError(f"hosts={name} is no name of a host, e.g. hosts=photos.example.org")
    if not given and not is_here(cfg.server):
        return None
    return frozenset(str(name).lower() for name in (*given, *_LOOPBACK, cfg.server))


def is_here(server: str) -> bool:
    """Say whether only this machine reaches an address."""
    try:
        return ip_address(server).is_loopback
    except ValueError:
        return server == "localhost"


def host_of(text: str) -> str | None:
    """Return the name in ``name:port``, in small letters and without brackets; None: none."""
    try:
        return urlsplit(f"//{text}").hostname
    except ValueError:
        return None
