"""The site as `make docs` builds it: whole, without a broken link, without an outside request."""

import asyncio
import functools
import http.server
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from src.core.paths import ROOT
from tests.support.browser import CHROMIUM, opened
from tools.site import MARK, cleared

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # a site is built
HITS = """[...document.querySelectorAll("*")].filter(part => part.shadowRoot)
    .flatMap(part => [...part.shadowRoot.querySelectorAll("a[href]")])
    .filter(link => link.href.includes("pyramid")).length"""
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """What a page refers to: its anchors, what a reader may follow, what a browser fetches."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.followed: list[str] = []
        self.fetched: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values.get("id", ""), values.get("name", "")}
        if tag == "a" and "href" in values:
            self.followed.append(values["href"])
        if tag == "link" and values.get("rel") not in {"canonical", "prev", "next"}:
            self.fetched.append(values.get("href", ""))
        if values.get(FETCHED.get(tag, "")):
            self.fetched.append(values[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("zensical", reason="the extra 'docs' is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = _build(folder)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    said, served = done.stdout.splitlines()[-2:]
    pages = len([*(folder / "html").rglob("*.html")])
    assert re.fullmatch(rf"{pages} pages in \d+ s: {folder}/html/index.html; or, .*", said)
    assert served.endswith(f"--directory {folder}/html")
    return folder / "html"


def _build(folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "tools.site", str(folder)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_folder_that_no_build_made_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "html/mine.html"
    mine.parent.mkdir()
    mine.write_text("mine")
    done = _build(tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path} has files that no build made; name another folder." in done.stderr
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [mine]


def test_only_what_a_build_made_is_replaced(tmp_path: Path) -> None:
    assert cleared(tmp_path)
    for name in ("html/old.html", "pages/old.md", "mine.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    assert cleared(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {MARK, "mine.txt"}


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html") if file.name != "404.html"}


def test_every_page_and_option_is_on_the_site(site: Path, pages: dict[Path, Page]) -> None:
    assert len(pages) > 140
    for page in (ROOT / "docs").rglob("*.md"):
        name = "index.html" if page.name == "README.md" else f"{page.stem}.html"
        assert site / page.relative_to(ROOT).parent / name in pages
    attention = (site / "catalogue/attention.html").read_text(encoding="utf-8")
    for option in (ROOT / "conf/model/attention").glob("*.yaml"):
        assert f'id="{option.stem}"' in attention


def test_no_link_is_broken(pages: dict[Path, Page]) -> None:
    broken = []
    for file, page in pages.items():
        for link in [*page.followed, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].ids if target in pages else {unquote(parts.fragment)}
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in known):
                broken.append(f"{file}: {link}")
    assert broken == []


def test_no_page_names_a_resource_outside(site: Path, pages: dict[Path, Page]) -> None:
    outside = ("http:", "https:", "//")
    assert [
        link for page in pages.values() for link in page.fetched if link.startswith(outside)
    ] == []
    styles = [file.read_text(encoding="utf-8") for file in site.rglob("*.css")]
    assert styles
    assert not [text for text in styles if "url(http" in text or "@import" in text]


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=site)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_search_answers_and_nothing_is_asked_of_others(address: str) -> None:
    hits, requests, complaints, overflow = asyncio.run(_search(address, "pyramid_local"))
    assert hits > 0
    assert [request for request in requests if not request.startswith((address, "data:"))] == []
    assert complaints == []
    assert overflow <= 0


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [1280, 390])
def test_the_phrase_book_fits_a_desktop_and_scrolls_in_its_box_on_a_phone(
    address: str, width: int
) -> None:
    boxes = """[...document.querySelectorAll(".md-typeset__scrollwrap")]
        .map(box => [box.scrollWidth - box.clientWidth, getComputedStyle(box).overflowX])"""

    async def look() -> tuple[list[tuple[int, str]], int]:
        page = f"{address}docs/phrase-book.html"
        async with opened(page, width=width, height=800) as tab:
            await tab.until("document.querySelector('.md-typeset__scrollwrap') !== null")
            wide = await tab.run("document.documentElement.scrollWidth - window.innerWidth")
            return [(hidden, how) for hidden, how in await tab.run(boxes)], int(wide)

    tables, wide = asyncio.run(look())
    assert len(tables) == 4
    assert wide <= 0
    assert all(hidden <= 0 if width > 1000 else how == "auto" for hidden, how in tables)


async def _search(address: str, word: str) -> tuple[int, list[str], list[str], int]:
    """Type a word into the search of the start page; return hits, requests and complaints."""
    page = f"{address}catalogue/attention.html"
    async with opened(page, width=390, height=800) as tab:
        wide = await tab.run("document.documentElement.scrollWidth - window.innerWidth")
        await tab.run("document.querySelector('button.md-search__button').click()")
        await asyncio.sleep(1)
        await tab.send("Input.insertText", text=word)
        end = time.monotonic() + 60
        while not (hits := await tab.run(HITS)) and time.monotonic() < end:
            await asyncio.sleep(0.25)
        return int(hits), tab.requests, tab.complaints, int(wide)
