"""Serve the page: networks opened, a server started, and ended by Ctrl-C."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console

from src.app.inference import give_back_large_blocks, merge_inference, pick_device
from src.app.restoration import restoration
from src.commands.page.hosts import hosts_of, is_here
from src.commands.page.offers import Limits, Offer
from src.core.console import make_console
from src.core.errors import ConfigError, ExemplarError, need
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer
from src.weights.checkpoint import network_of, open_checkpoint
from src.weights.zoo import zoo_names


def page(cfg: DictConfig) -> None:
    """Serve until the process is interrupted.

    Raises:
        ConfigError: If a key has a value that is not possible, or aiohttp is not installed.
        CheckpointError: If there is no such network.
        ExemplarError: If the address is not free.
    """
    need("aiohttp", extra="page", asked="python -m src.page")
    limits, hosts = limits_of(cfg), hosts_of(cfg)
    give_back_large_blocks()
    asyncio.run(_serve(offers_of(cfg), limits, hosts, cfg, make_console(stderr=True)))


def offers_of(cfg: DictConfig) -> list[Offer]:
    """Return the networks that were asked for, and those that come along.

    Raises:
        CheckpointError: If there is no such network.
    """
    along = sorted(zoo_names(), key=lambda name: "denoise" not in name)  # it is what most want
    named = _named(cfg.checkpoint) | {name: name for name in along}
    return [_offer(name, path, cfg) for name, path in named.items()]


def limits_of(cfg: DictConfig) -> Limits:
    """Return what is accepted; ConfigError if that is not possible."""
    for key in ("megapixels", "megabytes", "waiting"):
        if not isinstance(cfg[key], int | float) or not cfg[key] > 0:
            raise ConfigError(f"{key}={cfg[key]} is not possible; it is a number above 0.")
    if not isinstance(cfg.port, int) or not 0 <= cfg.port < 2**16:
        raise ConfigError(f"port={cfg.port} is not possible; it is 0 to 65535, e.g. port=7860.")
    return Limits(float(cfg.megapixels), float(cfg.megabytes), int(cfg.waiting))


def _named(given: str | ListConfig | DictConfig) -> dict[str, str]:
    """Return name → path of the networks asked for; visitors are told no folder of ours."""
    if isinstance(given, DictConfig):
        return {str(name): str(path) for name, path in given.items()}
    paths = [str(path) for path in ([given] if isinstance(given, str) else given) if path]
    names = [Path(path).name if path.startswith(("/", "~")) else path for path in paths]
    twice, count = max(Counter(names).items(), key=lambda one: one[1], default=("", 0))
    if count > 1:
        raise ConfigError(
            f"{count} networks would be called {twice}; name them: "
            f"'checkpoint={{first: {paths[0]}, second: …}}'."
        )
    return dict(zip(names, paths, strict=True))


def _offer(name: str, path: str, cfg: DictConfig) -> Offer:
    checkpoint = open_checkpoint(path)
    OmegaConf.resolve(checkpoint.config)
    device = pick_device(cfg.device)
    policy = InferencePolicy(**merge_inference(checkpoint, cfg.inference))
    restorer = Restorer(network_of(checkpoint).to(device), policy)
    return Offer(name, checkpoint, restorer, restoration(restorer, checkpoint, device))


async def _serve(
    offers: list[Offer], limits: Limits, hosts: frozenset[str] | None, cfg: DictConfig, out: Console
) -> None:
    from aiohttp import web

    from src.commands.page.server import Server

    ended = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, ended.set)
    application = Server(offers, limits, out, hosts).application()
    runner = web.AppRunner(
        application, handler_cancellation=True, access_log=None, shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, str(cfg.server), cfg.port)
        try:
            await site.start()
        except OSError as error:
            raise ExemplarError(
                f"server={cfg.server} port={cfg.port}: {error.strerror or error}. "
                "Choose another, e.g. port=0 for one that is free."
            ) from error
        server = f"[{cfg.server}]" if ":" in cfg.server else cfg.server
        out.print(f"Page       http://{server}:{runner.addresses[0][1]}/  Ctrl-C ends it")
        if not is_here(cfg.server):
            out.print("           Whoever reaches this address can use it: there is no password.")
        await ended.wait()
    finally:
        await runner.cleanup()
