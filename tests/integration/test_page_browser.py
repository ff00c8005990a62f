"""The page in a real browser, at two widths: restoring, refusing, keyboard, no outside request."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from src.commands.page.offers import Offer
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
POINT = "!document.querySelector('#point').hidden"
SHOW = "document.querySelector('#point button').click()"
SHOWN = "!document.querySelector('#looks').hidden && document.querySelector('#stop').hidden"
STATUS = "document.querySelector('#status').textContent"


@pytest.fixture(scope="module")
def offered() -> list[Offer]:
    return pages.offers()


@pytest.fixture(scope="module")
def attentive(trained: Path) -> list[Offer]:
    return pages.offers(f"checkpoint={{panet: {trained}}}")


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
                own = ("blob:", "data:")  # pictures of the page's own
                asked = {urlsplit(one).netloc for one in tab.requests if not one.startswith(own)}
                assert asked == {urlsplit(address).netloc}
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
        while not (saved / "noisy_denoised.png").exists():
            await asyncio.sleep(0.1)
        with Image.open(saved / "noisy_denoised.png") as image:
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


def test_all_that_can_be_chosen_has_a_name(attentive: list[Offer], noisy: Path) -> None:
    unnamed = """[...document.querySelectorAll('input, select, button, progress, [tabindex]')]
      .filter((one) => !(one.labels?.length || one.ariaLabel || one.textContent.trim()))
      .map((one) => one.outerHTML)"""

    async def look(tab: "browser.Tab") -> None:
        await tab.choose("[name=image]", noisy)
        await tab.until(POINT)
        await tab.run(GO)
        await tab.until(f"{ENDED} && document.querySelector('.slider') !== null")
        await tab.run(SHOW)
        await tab.until(SHOWN)
        assert await tab.run(unnamed) == []

    _visit(attentive, look)


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


def _spot(x: float, y: float) -> str:
    """Return a script: where in the window a part of the picture's width and height is."""
    return f"""(() => {{ const image = document.querySelector('#picked');
      image.scrollIntoView({{ block: 'center' }});
      const box = image.getBoundingClientRect();
      return {{ x: box.left + {x} * box.width, y: box.top + {y} * box.height }}; }})()"""


def _points(script: str) -> str:
    return f"['x', 'y'].map((side) => {script}.elements[side].value)"


@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_a_click_shows_where_attention_looks(
    attentive: list[Offer], tmp_path: Path, width: int
) -> None:
    turned, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[274] = 6  # to be turned clockwise by a quarter: 60 wide and 90 high
    Image.fromarray(pixels(60, 90)).save(turned, exif=exif)
    image = "document.querySelector('#looks img')"

    async def look(tab: "browser.Tab") -> None:
        await tab.choose("[name=image]", turned)
        await tab.until(POINT)
        await tab.drag(await tab.run(_spot(0.25, 0.9)), by=0)
        await tab.until(SHOWN)
        x, y = map(int, await tab.run(_points("document.querySelector('#point')")))
        assert (x, y) == (pytest.approx(15, abs=1), pytest.approx(81, abs=1))
        said = await tab.run(f"{image}.alt")
        assert f" looks from {x},{y}: " in said
        assert " effective keys of " in said
        words = "[...document.querySelectorAll('#looks li')].map((one) => one.textContent)"
        assert said == " ".join(await tab.run(words))
        assert await tab.run(f"{image}.decode().then(() => {image}.naturalWidth)") > 640
        assert await tab.run(STATUS) == "Done."
        assert await tab.run(ERROR) == ""

    assert _visit(attentive, look, width=width).complaints == []


def test_a_point_is_chosen_by_the_keyboard_and_one_outside_is_refused(
    attentive: list[Offer], noisy: Path
) -> None:
    async def look(tab: "browser.Tab") -> None:
        await tab.choose("[name=image]", noisy)
        await tab.until(POINT)
        await tab.run("document.querySelector('[name=x]').focus()")
        await tab.key("ArrowUp", 38)
        await tab.key("Enter", 13)
        await tab.until(SHOWN)
        assert " looks from 46,30: " in await tab.run("document.querySelector('#looks img').alt")
        await tab.run("document.querySelector('[name=x]').value = 90")
        await tab.run(SHOW)
        await tab.until(f"{ERROR} !== ''")
        expected = "point=90,30 is outside of noisy.png, which has 90×60 pixels"
        assert expected in await tab.run(ERROR)
        assert await tab.run("document.querySelector('#looks').hidden")

    _visit(attentive, look)


def test_a_block_is_chosen_where_there_are_several(noisy: Path, tmp_path: Path) -> None:
    pages.write_told(tmp_path / "told.safetensors")
    told = pages.offers(f"checkpoint={tmp_path / 'told.safetensors'}")
    alt = "document.querySelector('#looks img').alt"

    async def look(tab: "browser.Tab") -> None:
        await tab.choose("[name=image]", noisy)
        await tab.until(POINT)
        for block in (pages.BLOCKS[-1], pages.BLOCKS[0]):  # the last is chosen at first
            await tab.run(SHOW)
            await tab.until(f"{SHOWN} && {alt}.startsWith('Block {block}, one of 2 ')")
            await tab.run(_choose("block", pages.BLOCKS[0]))

    _visit(told, look)


def test_the_settings_shown_are_those_that_a_chosen_network_heeds(offered: list[Offer]) -> None:
    shown = "['sigma', 'phase', 'strength'].filter((id) => !document.getElementById(id).hidden)"

    async def look(tab: "browser.Tab") -> None:
        for first, second, settings in (
            ("zoo/denoise", "", ["strength"]),
            ("zoo/demosaic", "", ["phase"]),
            ("zoo/demosaic", "zoo/denoise", ["phase", "strength"]),
            ("zoo/denoise", "zoo/demosaic", ["phase", "strength"]),
        ):
            await tab.run(_choose("model", first))
            await tab.run(_choose("second", second))
            assert await tab.run(shown) == settings

    _visit(offered, look)


def test_a_network_without_attention_says_so(attentive: list[Offer], noisy: Path) -> None:
    why = "document.querySelector('#why').textContent"

    async def look(tab: "browser.Tab") -> None:
        await tab.choose("[name=image]", noisy)
        await tab.until(POINT)
        await tab.run(_choose("model", "zoo/denoise"))
        assert await tab.run("document.querySelector('#point').hidden")
        expected = "zoo/denoise has no attention that weighs places, so there is nothing to show; "
        assert await tab.run(why) == f"{expected}here these have: panet."

    _visit(attentive, look)


def test_the_later_of_two_clicks_counts_and_stop_ends_one(
    attentive: list[Offer], noisy: Path
) -> None:
    net = next(offer for offer in attentive if offer.name == "panet").restorer.module
    free = Event()
    hook = net.register_forward_pre_hook(lambda *_: free.wait(60) and None)

    async def look(tab: "browser.Tab") -> None:
        await tab.choose("[name=image]", noisy)
        await tab.until(POINT)
        await tab.run(SHOW)
        await tab.run("document.querySelector('#stop').click()")
        await tab.until(f"{STATUS} === 'Stopped.'")
        assert await tab.run("document.querySelector('#looks').hidden")
        for part in (0.25, 0.75):
            await tab.drag(await tab.run(_spot(part, 0.5)), by=0)
        free.set()
        await tab.until(SHOWN)
        x, y = await tab.run(_points("document.querySelector('#point')"))
        assert int(x) == pytest.approx(67, abs=1)
        assert f" {x},{y}: " in await tab.run("document.querySelector('#looks img').alt")

    try:
        _visit(attentive, look)
    finally:
        free.set()
        hook.remove()


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
