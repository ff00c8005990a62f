"""A comparison that two processes are at together, and one whose messages nobody reads."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from src.app.sweeps.cell_files import CELL
from src.core.paths import ROOT
from tests.support.images import write_folder
from tests.support.runs import TINY

FIXED = [*TINY, "task=denoise", "logger=csv", "trainer.max_steps=4", "trainer.val_check_interval=2"]
TEXT = f"""
title: Done by two
fixed: {json.dumps(FIXED)}
factors:
  seed: {{0: seed=0, 1: seed=1}}
  attention: {{channel: model/attention=channel, none: model/attention=none}}
reference: {{attention: none}}
"""
TO_RUN = re.compile(r"4 cells, of which (\d) are to be run")
LEFT = re.compile(
    r"^job \d+(: .*(left to that one|finished by another process)| is done already)", re.MULTILINE
)


def _start(folder: Path, *words: str, errors: int = subprocess.STDOUT) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "src.compare", str(folder), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=errors,
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return a comparison that two processes have done together, and what each has said."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "comparison.yaml").write_text(TEXT)
    both = [_start(folder), _start(folder)]
    said = [one.communicate()[0].decode() for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    return folder, said


@pytest.mark.long
def test_two_processes_divide_the_cells(shared: tuple[Path, list[str]]) -> None:
    folder, said = shared
    listed = [int(TO_RUN.search(text).group(1)) for text in said]  # type: ignore[union-attr]
    left = [len(LEFT.findall(text)) for text in said]
    assert not any("choose best.ckpt" in text for text in said)
    assert sum(left) > 0, "they have not met"
    assert sum(listed) - sum(left) == 4  # each is trained once
    assert len([*folder.glob(f"cells/*/{CELL}")]) == 4
    assert "4 of 4 are finished" in said[0] + said[1]
    ended = [
        json.loads(file.read_text())["status"] for file in folder.glob("cells/*/sweep_job.json")
    ]
    assert len(ended) == 4
    assert {*ended} <= {"done", "elsewhere"}


@pytest.mark.long
def test_the_report_is_written_though_nobody_reads_what_is_said(
    shared: tuple[Path, list[str]],
) -> None:
    folder, _ = shared
    names = ("table.md", "page.html", "cells.csv")
    for name in names:
        (folder / name).unlink()
    reading, writing = os.pipe()
    os.close(reading)
    with _start(folder, "run=false", errors=writing) as process:
        os.close(writing)
        assert process.wait() == 0
    assert [name for name in names if not (folder / name).is_file()] == []


@pytest.mark.long
def test_a_finished_comparison_needs_no_images_and_an_unfinished_one_does(tmp_path: Path) -> None:
    for name in ("train", "val"):
        write_folder(tmp_path / name, 2, height=32, width=32)
    words = [*FIXED, "data=folder", f"sets=[{tmp_path / 'val'}]"]
    own = {"data", "data.patch_size"}  # of TINY: it takes synthetic images
    words = [word for word in words if word.partition("=")[0] not in own or word == "data=folder"]
    levels = "seed: {0: seed=0}\n  attention: {none: model/attention=none}"
    text = (
        f"title: Away\nfixed: {json.dumps([*words, 'data.patch_size=16'])}\nfactors:\n  {levels}\n"
    )
    (tmp_path / "comparison.yaml").write_text(text + "reference: {attention: none}\n")
    place = f"data.train_dir={tmp_path / 'train'}"
    with _start(tmp_path, place) as process:
        said = process.communicate()[0].decode()
        assert process.returncode == 0, said
    assert "Score it" not in said  # its checkpoints are gone
    shutil.rmtree(tmp_path / "val")
    with _start(tmp_path, place) as process:
        said = process.communicate()[0].decode()
        assert process.returncode == 0, said
    assert "1 cells, of which 0 are to be run" in said
    shutil.rmtree(next(tmp_path.glob("cells/0-none-*")))
    with _start(tmp_path, place) as process:
        said = process.communicate()[0].decode()
        assert process.returncode != 0
    assert "val does not exist" in said
