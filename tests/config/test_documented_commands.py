"""Every command that README and docs show is one that the command line accepts."""

import re
import shlex
from pathlib import Path

import pytest

from src.app.config.check import Request
from src.app.config.options import register_resolvers
from src.core.paths import ROOT
from src.explain import with_point
from tests.support.compose import check

DOCUMENTED = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "experiments/README.md"]
# Tutorials have their own test, test_tutorials.py: some name what the reader adds.
PAGES = sorted(page for page in DOCUMENTED if page.parent.name != "tutorials")
BLOCK = re.compile(r"^```(?:bash|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONFIGURED = (
    "train",
    "evaluate",
    "predict",
    "convert",
    "export",
    "benchmark",
    "prepare",
    "dashboard",
    "degrade",
    "doctor",
    "explain",
    "push",
    "report",
    "page",
)
FLAGS = {"-m", "--multirun", "--help", "--cfg", "job", "--resolve"}
# What a reader must have first: a folder of options of one's own, a run to go on with.
NEEDS_FILES = ("hydra.searchpath", "resume=")


def commands() -> list[tuple[str, str, tuple[str, ...]]]:
    found = []
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                start = next((i for i, w in enumerate(words) if re.fullmatch(r"src\.\w+", w)), None)
                if "-m" in words and start is not None:
                    found.append((page.name, words[start][4:], tuple(words[start + 1 :])))
    return found


COMMANDS = commands()


def test_the_pages_hold_commands() -> None:
    assert len([page for page, _, _ in COMMANDS if page == "README.md"]) > 10


@pytest.mark.parametrize(
    ("page", "name", "words"),
    [  # of a sweep every job is composed
        pytest.param(
            *(page, name, words),
            id=f"{page}: {name} {' '.join(words)}",
            marks=pytest.mark.long if "-m" in words else (),
        )
        for page, name, words in COMMANDS
    ],
)
def test_a_shown_command_is_accepted(page: str, name: str, words: tuple[str, ...]) -> None:
    assert Path(ROOT / f"src/{name}.py").is_file(), page
    overrides = tuple(word for word in words if word not in FLAGS)
    overrides = tuple(with_point(overrides)) if name == "explain" else overrides
    if name not in CONFIGURED or any(text in word for word in words for text in NEEDS_FILES):
        return
    if "--cfg" in words or "--help" in words:
        return
    if any(word.startswith("hydra/launcher=") for word in words):
        pytest.importorskip("submitit", reason="the extra 'sweep' is not installed")
    register_resolvers(claim=False)
    check(Request(name, overrides, multirun="-m" in words))
