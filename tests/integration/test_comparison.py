"""A comparison that is killed at random and begun again, and what its page does in a browser."""

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from src.app.results import read_results
from src.app.sweeps.cell_files import CELL
from tests.support.runs import TINY
from tools.killing import launch

browser = pytest.importorskip("tests.support.browser", reason="aiohttp is absent")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
KILLS, PATIENCE_S = 5, 120.0
TEXT = """
title: Killed at random
fixed: {fixed}
factors:
  seed: {seeds}
  attention: {{window: model/attention=window, none: model/attention=none}}
reference: {{attention: none}}
"""


def _comparison(folder: Path, seeds: int) -> Path:
    words = [*TINY, "task=denoise", "logger=csv", "trainer.max_steps=20"]
    fixed = json.dumps([*words, "trainer.val_check_interval=10"])
    levels = json.dumps({str(seed): f"seed={seed}" for seed in range(seeds)})
    folder.mkdir()
    text = TEXT.format(fixed=fixed, seeds=levels)
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    return folder


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return launch(str(folder), module="src.compare", errors=subprocess.DEVNULL)


def _finished(folder: Path) -> dict[str, list[bytes]]:
    """Return what the finished cells have to keep, by their names."""
    return {
        file.parent.name: [file.read_bytes(), (file.parent / "results.json").read_bytes()]
        for file in sorted(folder.glob(f"cells/*/{CELL}"))
    }


def _results(folder: Path, cell: str) -> tuple[Any, ...]:
    record = read_results(folder / "cells" / cell)
    return record["weights_sha256"], record["benchmarks"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of eight cells, killed five times while cells are finished."""
    folder = _comparison(tmp_path_factory.mktemp("comparison") / "killed", seeds=4)
    moments = random.Random(1)  # noqa: S311
    for _ in range(KILLS):
        before = _finished(folder)
        process = _start(folder)
        end = time.monotonic() + PATIENCE_S
        while len(_finished(folder)) <= len(before) and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(moments.uniform(0, 1.5))  # somewhere in the next cell
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        after = _finished(folder)
        assert {name: after[name] for name in before} == before
    assert _start(folder).wait(PATIENCE_S) == 0
    return folder


def test_kills_lose_no_finished_cell_and_repeated_cells_have_the_same_bits(
    killed: Path, tmp_path: Path
) -> None:
    assert len(_finished(killed)) == 8
    again = _comparison(tmp_path / "again", seeds=1)
    assert _start(again).wait(PATIENCE_S) == 0
    repeated = _finished(again)
    assert len(repeated) == 2
    for cell in repeated:
        assert _results(again, cell) == _results(killed, cell)
    table = (killed / "table.md").read_text(encoding="utf-8")
    assert "8 of 8 cells are finished" in table


@pytest.mark.skipif(browser.CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize("width", [1280, 390])
def test_its_page_asks_nothing_of_others_and_nothing_sticks_out(killed: Path, width: int) -> None:
    page = killed / "page.html"

    async def visit() -> tuple[int, list[str], list[str]]:
        async with browser.opened(page, width=width, height=900) as tab:
            root = "document.documentElement"
            assert await tab.run("document.querySelectorAll('table').length") == 3
            assert await tab.run("document.querySelector('img').naturalWidth") > 0
            wider = await tab.run(f"{root}.scrollWidth - {root}.clientWidth")
            return wider, tab.requests, tab.complaints

    wider, requests, complaints = asyncio.run(visit())
    assert (wider, complaints) == (0, [])
    assert all(address.startswith("data:") for address in requests if address != page.as_uri())
