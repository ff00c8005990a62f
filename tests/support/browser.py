"""Drives a real Chromium: what a page does, what it asks for, what it complains of."""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


class Tab:
    """One open page.

    Attributes:
        requests: Address of everything that the page has asked for.
        complaints: What the page or the browser has written to the console.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def send(self, method: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=30)
            self._note(message)
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    async def run(self, script: str) -> Any:  # noqa: ANN401
        """Return the value of an expression in the page."""
        done = await self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def point(self, place: Mapping[str, float]) -> None:
        """Move the pointer to ``x`` and ``y`` of the window."""
        await self.send("Input.dispatchMouseEvent", type="mouseMoved", x=place["x"], y=place["y"])

    async def drag(self, start: Mapping[str, float], *, by: float) -> None:
        """Press at ``start``, move ``by`` pixels to the right, and release."""
        moves = (("mousePressed", 0.0), ("mouseMoved", by / 2), ("mouseMoved", by))
        for kind, far in (*moves, ("mouseReleased", by)):
            place = {"x": start["x"] + far, "y": start["y"]}
            held = {"button": "left", "buttons": 1, "clickCount": 1}
            await self.send("Input.dispatchMouseEvent", type=kind, **place, **held)

    async def key(self, name: str, code: int) -> None:
        """Press and release a key, e.g. ("ArrowRight", 39)."""
        for kind in ("keyDown", "keyUp"):
            keys = {"key": name, "code": name, "windowsVirtualKeyCode": code}
            typed = {"text": "\r"} if (kind, name) == ("keyDown", "Enter") else {}
            await self.send("Input.dispatchKeyEvent", type=kind, **keys, **typed)

    async def choose(self, selector: str, file: Path) -> None:
        """Choose a file in the input that ``selector`` names, as a visitor does."""
        script = f"document.querySelector({json.dumps(selector)})"
        chosen = await self.send("Runtime.evaluate", expression=script)
        where = chosen["result"]["objectId"]
        await self.send("DOM.setFileInputFiles", files=[str(file)], objectId=where)

    async def until(self, script: str, *, seconds: float = 120) -> None:
        """Wait until an expression in the page is true."""
        end = time.monotonic() + seconds
        while not await self.run(script):
            assert time.monotonic() < end, script
            await asyncio.sleep(0.1)

    async def picture(self, file: Path) -> None:
        """Write what the window shows as a PNG."""
        shot = await self.send("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(shot["data"]))

    def _note(self, message: Mapping[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        if message.get("method") in {"Log.entryAdded", "Runtime.exceptionThrown"}:
            self.complaints.append(json.dumps(params))
        if message.get("method") == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(params))


@asynccontextmanager
async def opened(
    page: Path | str, *, width: int, height: int, dark: bool = False
) -> AsyncIterator[Tab]:
    """Open a file or an address in a new browser of its own, and close it at the end."""
    assert CHROMIUM is not None
    profile = tempfile.mkdtemp(prefix="chromium-")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    words = [CHROMIUM, *flags, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = await _port(Path(profile) / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                tabs = await answer.json()
            address = next(tab for tab in tabs if tab["type"] == "page")["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=2**27) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Network", "Log", "Runtime"):
                    await tab.send(f"{domain}.enable")
                size = {"width": width, "height": height, "deviceScaleFactor": 1}
                await tab.send("Emulation.setDeviceMetricsOverride", **size, mobile=width < 600)
                scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
                await tab.send("Emulation.setEmulatedMedia", features=[scheme])
                address = page if isinstance(page, str) else page.as_uri()
                await tab.send("Page.navigate", url=address)
                while await tab.run("document.readyState") != "complete":
                    await asyncio.sleep(0.05)
                yield tab
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(profile, ignore_errors=True)


async def _port(file: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if file.is_file() and (text := file.read_text()):
            return text.splitlines()[0]
        await asyncio.sleep(0.05)
    raise AssertionError("the browser did not start within a minute")
