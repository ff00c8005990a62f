"""The page in a real browser, at two widths: restoring, refusing, keyboard, no outside request."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from src.commands.page.photographs import Offer
from tests.support.images import pixels, write

browser = pytest.importorskip("tests.support.browser", reason="aiohttp is absent")
pages = pytest.importorskip("tests.support.pages", reason="aiohttp is absent")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.CHROMIUM is None, reason="there is no Chromium here"),
]
GO = "document.querySelector('button.main').click()"
ENDED = "!document.querySelector('button.main').disabled"
ERROR = "document.querySelector('#error').textContent"


@pytest.fixture(scope="module")
def offered() -> list[Offer]:
    return pages.offers()


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    image = np.full((60, 90, 3), 120.0) + np.random.default_rng(0).normal(0, 25, (60, 90, 3))
    return write(tmp_path / "noisy.png", image.clip(0, 255).astype(np.uint8))


def _visit(
    offered: list[Offer],
    look: "Callable[[browser.Tab], Awaitable[None]]",
    *words: str,
    width: int = 1280,
) -> "browser.Tab":
    """Open the page, look at it, and make sure that it fits and asked nothing of others."""

    async def visit() -> "browser.Tab":
        async with pages.visited(offered, *words) as client:
            address = str(client.make_url("/"))
            async with browser.opened(address, width=width, height=900) as tab:
                await look(tab)
                assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
                asked = [urlsplit(one) for one in tab.requests if not one.startswith("blob:")]
                assert {one.netloc for one in asked} == {urlsplit(address).netloc}
                return tab

    return asyncio.run(visit())


def _choose(name: str, value: str) -> str:
    chosen = f"const list = document.querySelector('[name={name}]'); list.value = '{value}';"
    return f"(() => {{ {chosen} list.dispatchEvent(new Event('change')); }})()"


@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_a_visitor_restores_and_compares(
    offered: list[Offer], noisy: Path, tmp_path: Path, width: int
) -> None:
    clean = write(tmp_path / "clean.png", np.full((60, 90, 3), 120, np.uint8))
    saved = tmp_path / "saved"
    layers = "[...document.querySelectorAll('.layer')].map((one) => one.dataset.name)"
    scores = "[...document.querySelectorAll('figcaption span')].map((one) => one.textContent)"

    async def look(tab: "browser.Tab") -> None:
        await tab.choose("[name=image]", noisy)
        await tab.run(_choose("model", "zoo/denoise"))
        await tab.run(_choose("second", "zoo/dejpeg"))
        await tab.choose("[name=clean]", clean)
        await tab.until("document.querySelector('#seen').textContent.includes('90 × 60 pixels')")
        await tab.run(GO)
        await tab.until(ENDED)
        assert await tab.run(ERROR) == ""
        assert await tab.run(layers) == ["before", "zoo/denoise", "zoo/dejpeg", "target"]
        before, denoised, _, target = await tab.run(scores)
        assert float(before.split()[1]) + 5 < float(denoised.split()[1])
        assert target == ""
        await tab.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(saved))
        await tab.run("document.querySelector('a.button').click()")
        while not (saved / "noisy_denoise.png").exists():
            await asyncio.sleep(0.1)
        with Image.open(saved / "noisy_denoise.png") as image:
            assert image.size == (90, 60)
            error = np.mean((np.asarray(image).astype(float) - 120) ** 2)
        shown = float(denoised.split()[1])
        assert shown == pytest.approx(10 * np.log10(255**2 / error), abs=0.01)

    assert _visit(offered, look, width=width).complaints == []


def test_slider_zoom_and_spot_follow_the_keyboard(offered: list[Offer], noisy: Path) -> None:
    def style(name: str) -> str:
        return f"document.querySelector('.slider').style.getPropertyValue('{name}')"

    async def look(tab: "browser.Tab") -> None:
        await tab.choose("[name=image]", noisy)
        await tab.run("document.querySelector('button.main').focus()")
        await tab.key("Enter", 13)
        await tab.run(GO)
        await tab.until(f"{ENDED} && document.querySelector('.slider') !== null")
        await tab.run("document.querySelector('.slider input').focus()")
        await tab.key("ArrowRight", 39)
        assert await tab.run(style("--split")) == "51%"
        await tab.run("document.querySelector('.zoom').focus()")
        await tab.key("ArrowRight", 39)
        assert await tab.run(style("--zoom")) == "1.5"
        await tab.run("document.querySelector('.view').focus()")
        await tab.key("ArrowLeft", 37)
        assert await tab.run(style("--x")) == "45%"

    _visit(offered, look)


def test_all_that_can_be_chosen_has_a_name(offered: list[Offer], noisy: Path) -> None:
    unnamed = """[...document.querySelectorAll('input, select, button, progress, [tabindex]')]
      .filter((one) => !(one.labels?.length || one.ariaLabel || one.textContent.trim()))
      .map((one) => one.outerHTML)"""

    async def look(tab: "browser.Tab") -> None:
        await tab.choose("[name=image]", noisy)
        await tab.run(GO)
        await tab.until(f"{ENDED} && document.querySelector('.slider') !== null")
        assert await tab.run(unnamed) == []

    _visit(offered, look)


@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_a_wrong_file_and_huge_ones_are_refused_in_a_sentence(
    offered: list[Offer], tmp_path: Path, width: int
) -> None:
    wrong = tmp_path / "wrong.png"
    wrong.write_text("This is no image.")
    wide = write(tmp_path / "wide.png", np.zeros((1100, 1000, 3), np.uint8))
    heavy = write(tmp_path / "heavy.png", pixels(500, 800))
    tall = write(tmp_path / "tall.png", np.zeros((1000, 400, 3), np.uint8))
    refused = {
        wrong: "wrong.png: is not an image",
        wide: "wide.png: has 1000 × 1100 pixels, 1.1 megapixels; 1 are allowed here.",
        heavy: "heavy.png has 1.2 megabytes; 1 are allowed here.",
    }

    async def look(tab: "browser.Tab") -> None:
        for file, words in refused.items():
            await tab.choose("[name=image]", file)
            await tab.until(f"{ERROR}.startsWith('{file.name}')")
            assert words in await tab.run(ERROR)
        await tab.run(_choose("model", "zoo/super_resolution_x2"))
        await tab.choose("[name=image]", tall)
        await tab.until("document.querySelector('#seen').textContent.includes('400 × 1000')")
        await tab.run(GO)
        await tab.until(f"{ERROR} !== ''")
        assert "enlarged ×2 would have 800 × 2000 pixels" in await tab.run(ERROR)

    _visit(offered, look, "megapixels=1.0", "megabytes=1.0", width=width)


def test_two_visitors_at_once_each_get_their_own(offered: list[Offer], tmp_path: Path) -> None:
    shades = {"dark": 40, "light": 200}
    files = {
        name: write(tmp_path / f"{name}.png", np.full((96, 96, 3), shade, np.uint8))
        for name, shade in shades.items()
    }
    shade = """createImageBitmap(document.querySelector('.layer[data-name^=zoo] img'))
      .then((image) => { const canvas = new OffscreenCanvas(96, 96).getContext('2d');
        canvas.drawImage(image, 0, 0);
        return canvas.getImageData(48, 48, 1, 1).data[0]; })"""

    async def visitor(address: str, file: Path) -> int:
        async with browser.opened(address, width=800, height=600) as tab:
            await tab.choose("[name=image]", file)
            await tab.run(GO)
            await tab.until(f"{ENDED} && document.querySelector('a.button') !== null")
            return int(await tab.run(shade))

    async def visit() -> list[int]:
        async with pages.visited(offered) as client:
            address = str(client.make_url("/"))
            return await asyncio.gather(*(visitor(address, file) for file in files.values()))

    assert asyncio.run(visit()) == pytest.approx(list(shades.values()), abs=6)


def test_a_visitor_stops_the_work(offered: list[Offer], tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray(pixels(900, 1200)).save(content, "PNG")
    large = tmp_path / "large.png"
    large.write_bytes(content.getvalue())

    async def look(tab: "browser.Tab") -> None:
        await tab.choose("[name=image]", large)
        await tab.run(_choose("model", "zoo/super_resolution_x4"))
        await tab.until("document.querySelector('#seen').textContent !== ''")
        await tab.run(GO)
        await tab.until("!document.querySelector('#stop').hidden")
        await tab.run("document.querySelector('#stop').click()")
        await tab.until(ENDED)
        assert await tab.run("document.querySelector('#status').textContent") == "Stopped."

    _visit(offered, look)
