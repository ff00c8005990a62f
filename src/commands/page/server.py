"""The server: a page, addresses for it and for scripts, one restoration at a time."""

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TypeVar
from uuid import uuid4

from aiohttp import web
from rich.console import Console

from src.app.processes.user_errors import shortage
from src.commands.page.answers import as_file, as_form, with_headers
from src.commands.page.form import Form, number, read_form, whole
from src.commands.page.hosts import host_of
from src.commands.page.offers import Limits, Offer, Upload, Wish, read_upload
from src.commands.page.photographs import Result, attention, level_of, preview, restored
from src.core.errors import ConfigError, ExemplarError, did_you_mean
from src.core.pages import templates
from src.core.redact import readable, without_folders

Done = TypeVar("Done")


class _StoppedError(Exception):
    """Nobody waits for the restoration any more."""


@dataclass
class Job:
    """One restoration: the part that is done, None while it waits; whether it is to stop."""

    part: float | None = None
    stop: Event = field(default_factory=Event)

    def watch(self, part: float) -> None:
        """Note how much is done, or end the work."""
        if self.stop.is_set():
            raise _StoppedError
        self.part = part


class Server:
    """What answers requests.

    Nothing is written to disk: uploads and results are in memory until they are answered.

    Args:
        offers: Name → network.
        limits: What is accepted.
        console: Where faults of the program are shown.
        hosts: The names that requests may call this server by; None: any.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        limits: Limits,
        console: Console,
        hosts: Collection[str] | None,
    ) -> None:
        self._offers, self._hosts = {offer.name: offer for offer in offers}, hosts
        self._limits, self._console = limits, console
        self._jobs: dict[str, Job] = {}
        self._forms = 0
        self._restoring, self._looking = ThreadPoolExecutor(1), ThreadPoolExecutor(1)

    def application(self) -> web.Application:
        """Return what aiohttp serves."""
        application = web.Application(middlewares=[self._errors_in_words])
        application.add_routes(
            [
                web.get("/", self._page),
                web.get("/models", self._models),
                web.get("/progress/{job}", self._progress),
                web.post("/look", self._look),
                web.post("/restore", self._restore),
                web.post("/attention", self._attention),
            ]
        )
        application.on_response_prepare.append(with_headers)
        application.on_cleanup.append(self._close)
        return application

    async def _close(self, application: web.Application) -> None:
        for job in self._jobs.values():
            job.stop.set()
        for pool in (self._restoring, self._looking):
            pool.shutdown(wait=True, cancel_futures=True)

    @web.middleware
    async def _errors_in_words(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer what is wrong with a request in one sentence, which names no folder of ours."""
        if self._hosts is not None and host_of(request.host) not in self._hosts:
            text = f"{request.host} is no name of this page; who serves it allows one with hosts=…"
            raise web.HTTPForbidden(text=readable(text))  # it may stand for this machine by DNS
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            raise web.HTTPForbidden(text=f"This is not for pages of {origin}.")
        try:
            with self._counted(request):
                return await handler(request)
        except web.HTTPException:
            raise
        except _StoppedError:
            return web.Response(status=503, text="The page is being closed; nothing was restored.")
        except Exception as error:  # of one request; the others go on
            said = str(error) if isinstance(error, ExemplarError) else None
            if not isinstance(error, OSError) and shortage(error) is not None:
                said = "There is too little memory for that here; make the photograph smaller."
            if said is not None:
                return web.Response(status=422, text=readable(without_folders(said)))
            self._console.print(traceback.format_exc())
            fault = "That was a fault of the program; its terminal shows where."
            return web.Response(status=500, text=fault)

    @contextmanager
    def _counted(self, request: web.Request) -> Iterator[None]:
        """Refuse a form where memory holds enough of them, read or not."""
        forms = int(request.method == "POST")
        if forms and self._forms >= 2 * self._limits.waiting:
            text = f"{self._forms} uploads are under way already; come again in a minute."
            raise web.HTTPServiceUnavailable(text=text)
        self._forms += forms
        try:
            yield
        finally:
            self._forms -= forms

    async def _page(self, request: web.Request) -> web.Response:
        template = templates(Path(__file__).parent / "templates").get_template("page.html.j2")
        models = [offer.about() for offer in self._offers.values()]
        html = template.render(title="Restore photographs", models=models, limits=self._limits)
        return web.Response(text=html, content_type="text/html")

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response([offer.about() for offer in self._offers.values()])

    async def _progress(self, request: web.Request) -> web.Response:
        """Say how many jobs are before one, and what part of it is done; null: there is none."""
        name = request.match_info["job"]
        before = [*self._jobs].index(name) if name in self._jobs else None
        part = None if before is None else self._jobs[name].part
        return web.json_response({"before": before, "part": part})

    async def _look(self, request: web.Request) -> web.Response:
        """Say how noisy or compressed a photograph is, how large, and with ``views`` show it."""
        form = await read_form(request, self._limits.megabytes)
        wish = self._wish(form)

        def look() -> dict[str, object]:
            upload = self._upload(form, "image")
            height, width = upload.photograph.image.shape[-2:]
            about = {"width": width, "height": height, **level_of(upload, wish)}
            return about | ({"picture": preview(upload)} if form.get("views") else {})

        return web.json_response(await _in_thread(self._looking, look))

    async def _restore(self, request: web.Request) -> web.Response:
        """Restore a photograph: the answer is its file, or with ``views`` a form of several."""
        form = await read_form(request, self._limits.megabytes)
        wish, views = self._wish(form), bool(form.get("views"))

        def restore(job: Job) -> Result:
            upload = self._upload(form, "image")
            clean = self._upload(form, "clean") if form.get("clean") else None
            return restored(upload, clean, wish, self._limits, job.watch, views=views)

        result = await self._in_turn(form, restore)
        return as_form(result) if views else as_file(result)

    async def _attention(self, request: web.Request) -> web.Response:
        """Draw where attention looks from the point ``x``, ``y``."""
        form = await read_form(request, self._limits.megabytes)
        wish = self._wish(form)
        point = (whole(str(form.get("x", "")), "x"), whole(str(form.get("y", "")), "y"))

        def draw(job: Job) -> tuple[bytes, dict[str, object]]:
            upload, block = self._upload(form, "image"), str(form.get("block", ""))
            return attention(upload, wish, point, block, job.watch)

        body, about = await self._in_turn(form, draw)
        headers = {"Exemplar-About": json.dumps(about)}
        return web.Response(body=body, content_type="image/png", headers=headers)

    async def _in_turn(self, form: Form, work: Callable[[Job], Done]) -> Done:
        """Return what ``work`` does when all that came before is done."""
        name, job = str(form.get("job") or uuid4()), Job()
        if name in self._jobs:
            raise ConfigError(f"job={name} is under way already; give each a name of its own.")
        if len(self._jobs) >= self._limits.waiting:
            text = f"{len(self._jobs)} restorations wait already; come again in a minute."
            raise web.HTTPServiceUnavailable(text=text)

        def begun() -> Done:
            job.watch(0.0)
            return work(job)

        self._jobs[name] = job
        try:
            return await _in_thread(self._restoring, begun)
        finally:
            job.stop.set()
            del self._jobs[name]

    def _upload(self, form: Form, name: str) -> Upload:
        given = form.get(name)
        if not isinstance(given, tuple):
            raise ConfigError(f"There is no file {name}; choose a photograph.")
        return read_upload(*given, self._limits)

    def _wish(self, form: Form) -> Wish:
        texts = {key: value for key, value in form.items() if isinstance(value, str)}
        name = texts.get("model", "")
        if name not in self._offers:
            given = f"says {name}, and there is no such network" if name else "is missing"
            hint = did_you_mean(name, self._offers)
            raise ConfigError(f"The field model {given} here. {hint}")
        sigma, strength = (number(texts.get(key), key) for key in ("sigma", "strength"))
        phase = texts.get("phase") or None
        wish = Wish(self._offers[name], sigma, 1.0 if strength is None else strength, phase)
        wish.way()  # what is not possible is refused before it waits for its turn
        return wish


async def _in_thread(pool: ThreadPoolExecutor, work: Callable[[], Done]) -> Done:
    return await asyncio.get_running_loop().run_in_executor(pool, work)
