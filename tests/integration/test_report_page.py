"""The report page in a real browser: slider, zoom, error maps, sorting; nothing from outside."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from src.commands.report.page import write_page
from src.commands.report.records import open_records
from tests.support.evaluations import write_evaluation

browser = pytest.importorskip("tests.support.browser", reason="aiohttp is absent")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.CHROMIUM is None, reason="there is no Chromium here"),
]
MIDDLE = """(() => { const r = document.querySelector('%s').getBoundingClientRect();
  return {x: r.x + r.width / 2, y: r.y + r.height / 2, width: r.width}; })()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("page")
    scores = {"b": 31.0, "a": 30.0, "c": 29.0}
    write_evaluation(here / "one", scores, name="one", pictures=True)
    write_evaluation(here / "two", {"b": 33.0, "a": 30.5, "c": 29.1}, name="two", pictures=True)
    write_page(here / "page.html", open_records(str(here)), "<b>Title</b>", images=2, crop=32)
    return here / "page.html"


def _visit(
    page: Path, look: "Callable[[browser.Tab], Awaitable[None]]", *, width: int = 1280
) -> "browser.Tab":
    async def visit() -> "browser.Tab":
        async with browser.opened(page, width=width, height=900) as tab:
            await look(tab)
            return tab

    return asyncio.run(visit())


def test_slider_follows_pointer_and_keyboard(page: Path) -> None:
    split = "document.querySelector('.slider').style.getPropertyValue('--split')"

    async def look(tab: "browser.Tab") -> None:
        await tab.run("document.querySelector('.slider').scrollIntoView({block: 'center'})")
        place = await tab.run(MIDDLE % ".slider")
        await tab.drag(place, by=-place["width"] / 4)
        dragged = float((await tab.run(split)).rstrip("%"))
        assert dragged == pytest.approx(25, abs=1)
        await tab.key("ArrowRight", 39)
        assert float((await tab.run(split)).rstrip("%")) == dragged + 1

    _visit(page, look)


def test_lists_choose_what_the_slider_compares(page: Path) -> None:
    async def look(tab: "browser.Tab") -> None:
        await tab.run("""(() => { const list = document.querySelector('select[name=left]');
          list.value = 'target'; list.dispatchEvent(new Event('change')); })()""")
        same = """document.querySelector('.slider .over').src ===
          document.querySelector('.layer[data-name=target] img').src"""
        assert await tab.run(same)
        assert await tab.run("document.querySelector('.tag.left').textContent") == "target"

    _visit(page, look)


def test_pointing_at_a_picture_enlarges_that_spot_of_all(page: Path) -> None:
    scales = """[...document.querySelector('.layers').querySelectorAll('.view > img:first-child')]
      .map(image => new DOMMatrix(getComputedStyle(image).transform).a)"""

    async def look(tab: "browser.Tab") -> None:
        await tab.run("document.querySelector('.layers').scrollIntoView({block: 'center'})")
        await tab.point(await tab.run(MIDDLE % ".view"))
        await asyncio.sleep(0.5)
        assert await tab.run(scales) == [4, 4, 4, 4]  # input, one, two, target
        await tab.point({"x": 1, "y": 1})
        await asyncio.sleep(0.5)
        assert await tab.run(scales) == [1, 1, 1, 1]

    _visit(page, look)


def test_error_maps_lay_the_target_over_every_picture(page: Path) -> None:
    async def look(tab: "browser.Tab") -> None:
        await tab.run("document.querySelector('.choose button').click()")
        shown = "getComputedStyle(document.querySelector('.layer .reference')).mixBlendMode"
        assert await tab.run(shown) == "difference"
        loaded = "document.querySelector('.layer .reference').naturalWidth"
        assert await tab.run(loaded) == 32
        pressed = "document.querySelector('.choose button').ariaPressed"
        assert await tab.run(pressed) == "true"

    _visit(page, look)


def test_a_click_on_a_column_sorts_it_down_and_then_up(page: Path) -> None:
    first = "[...document.querySelectorAll('.sortable tbody th')].map(cell => cell.textContent)"

    async def look(tab: "browser.Tab") -> None:
        click = "document.querySelector('button[aria-label=\"PSNR of two\"]').click()"
        await tab.run(click)
        assert await tab.run(first) == ["b", "a", "c"]
        await tab.run(click)
        assert await tab.run(first) == ["c", "a", "b"]
        sort = "document.querySelectorAll('.sortable [aria-sort=ascending]').length"
        assert await tab.run(sort) == 1

    _visit(page, look)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_asked_of_others_nothing_complains_and_nothing_sticks_out(
    page: Path, width: int
) -> None:
    async def look(tab: "browser.Tab") -> None:
        page = "document.documentElement"
        assert await tab.run(f"{page}.scrollWidth - {page}.clientWidth") == 0
        assert await tab.run("document.title") == "<b>Title</b>"

    tab = _visit(page, look, width=width)
    assert tab.requests[0] == page.as_uri()
    assert all(address.startswith("data:") for address in tab.requests[1:])
    assert tab.complaints == []
