"""The phrase book's own words exist: commands are accepted, keys and options are in conf/."""

import importlib
import re
import shlex

import pytest
from omegaconf import DictConfig, OmegaConf

from src.app.config.check import Request
from src.core.paths import ROOT
from tests.support.compose import check, compose_config

ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in (ROOT / "docs/phrase-book.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| ---")
]
OURS = sorted({word for row in ROWS for word in re.findall(r"`([^`]+)`", row[-1])})
MISSING = object()
NO_KEY = ("outputs/<task>", "output=", "lq_size")
"""Places, and keys of one command, which its commands show."""


def test_every_row_has_their_words_and_ours() -> None:
    assert {len(row) for row in ROWS} == {3}
    assert len(ROWS) > 50


@pytest.fixture(scope="module")
def settings() -> DictConfig:
    return compose_config()


@pytest.mark.long  # all together
@pytest.mark.parametrize("word", [word for word in OURS if not word.startswith(NO_KEY)])
def test_a_word_of_ours_exists(settings: DictConfig, word: str) -> None:
    command = re.fullmatch(r"python -m src\.(\w+) ?(.*)", word)
    if command and "-m" not in shlex.split(command[2]):
        check(Request(command[1], tuple(shlex.split(command[2].replace("resume=last", "")))))
    elif (
        command
    ):  # docs/how-to/sweeps.md has both: all jobs of a sweep are composed, which takes long
        assert (ROOT / f"src/{command[1]}.py").is_file()
    elif "=" in word:
        check(Request("train", tuple(shlex.split(word))), complete=False)
    elif word.startswith("src."):
        module, _, name = word.rpartition(".")
        assert hasattr(importlib.import_module(module), name)
    else:
        assert OmegaConf.select(settings, word, default=MISSING) is not MISSING
