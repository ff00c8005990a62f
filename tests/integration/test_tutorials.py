"""Each tutorial does what it shows, step by step, in a checkout of its own; trainings are short."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from src.core.paths import ROOT
from tests.support.runs import python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))
STEP = re.compile(r"(?:`([\w./-]+)`:\n\n)?^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BEFORE = ("make install", "source .venv/bin/activate")
SHORT = ("trainer.max_steps=2", "trainer.val_check_interval=2", "data.workers=0")
STEPS = re.compile(r"(trainer\.(?:max_steps|val_check_interval))=\d+")
LEAVES = {
    "first-restoration": ("outputs/first/chelsea_from_python.png", "outputs/first/large"),
    "first-training": ("outputs/demo/before_after.png", "my_comparison/page.html"),
    "attention-block": ("outputs/multirun",),
}


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_shows(page: Path, tmp_path: Path) -> None:
    for name in ("src", "conf", "hydra_plugins", "tests", "experiments/zoo"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    for file, language, text in STEP.findall(page.read_text(encoding="utf-8")):
        if file:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(STEPS.sub(r"\1=2", text), encoding="utf-8")
        elif language == "python":
            python(tmp_path, "-c", text)
        else:
            for line in text.splitlines():
                if line not in BEFORE:
                    python(tmp_path, *_words(line))
    assert [path for path in LEAVES[page.stem] if not (tmp_path / path).exists()] == []


def _words(line: str) -> list[str]:
    """Return what Python runs for a line: ``exemplar`` is a module, trainings take two steps."""
    program, *words = shlex.split(line, comments=True)
    words = ["-m", "src", *words] if program == "exemplar" else words
    trains = "src.train" in words and "debug=smoke" not in words  # what a cell is, its file says
    return [*words, *SHORT] if trains else words
