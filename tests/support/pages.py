"""A page served in a test's own process, and what is sent to it."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, FormData
from aiohttp.test_utils import TestClient, TestServer
from hydra.utils import instantiate

from src.commands.page.command import limits_of, offers_of
from src.commands.page.hosts import hosts_of
from src.commands.page.offers import Offer
from src.commands.page.server import Server
from src.core.console import make_console
from src.weights.network_file import write_network
from tests.support.compose import compose_config

FFDNET = {
    "_target_": "src.models.backbones.ffdnet.FFDNet",
    "in_channels": 4,
    "out_channels": 3,
    "channels": 4,
    "blocks": 3,
    "attention": {
        "_target_": "src.models.attention.non_local.NonLocalAttention",
        "_partial_": True,
    },
    "attention_sites": [1, 2],
}
BLOCKS = ["trunk.1", "trunk.3"]
"""Where FFDNET has attention."""


def write_told(file: Path) -> None:
    """Write a network that is told the noise level, with two blocks of attention, untrained."""
    write_network(file, instantiate(FFDNET).state_dict(), FFDNET, {})


def offers(*words: str) -> list[Offer]:
    """Return what ``python -m src.page <words>`` offers."""
    return offers_of(compose_config("device=cpu", *words, config_name="page"))


@asynccontextmanager
async def visited(offered: list[Offer], *words: str) -> "AsyncIterator[TestClient[Any, Any]]":
    """Serve a page, and yield a visitor of it."""
    cfg = compose_config(*words, config_name="page")
    server = Server(offered, limits_of(cfg), make_console(stderr=True), hosts_of(cfg))
    application = server.application()
    async with TestClient(TestServer(application)) as client:
        yield client


async def sent(
    client: "TestClient[Any, Any]",
    name: str,
    content: bytes,
    *,
    to: str = "/restore",
    clean: bytes | None = None,
    **fields: str,
) -> ClientResponse:
    """Send a photograph with fields, and return the answer, read whole."""
    form = FormData()
    form.add_field("image", io.BytesIO(content), filename=name)
    if clean is not None:
        form.add_field("clean", io.BytesIO(clean), filename="clean.png")
    for key, value in fields.items():
        form.add_field(key, value)
    answer = await client.post(to, data=form)
    await answer.read()
    return answer
