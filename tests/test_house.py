"""Each command is where a newcomer looks for it: in the layers, in the help, on a page."""

import re
import tomllib

import pytest

from src.__main__ import commands
from src.core.paths import CONF_DIR, ROOT
from tests.support.runs import command

COMMANDS = list(commands())
PAGES = "\n".join(
    page.read_text(encoding="utf-8")
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "decisions" not in page.parts
)
WITHOUT_CONFIG = {"catalog", "compare", "runs"}


def test_the_commands_are_the_top_layer_and_nothing_else_is() -> None:
    held = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = held["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert sorted(layers[0].split(" | ")) == ["src.__main__", *(f"src.{name}" for name in COMMANDS)]
    packages = {folder.parent.name for folder in (ROOT / "src").glob("*/__init__.py")}
    below = {name.removeprefix("src.") for row in layers[1:] for name in row.split(" | ")}
    assert below == packages


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_CONFIG])
def test_help_fits_80_columns(name: str) -> None:
    shown = command(name, "--help")
    assert shown.code == 0
    assert [line for line in shown.out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_shown_on_a_page_and_explains_itself(name: str) -> None:
    assert f"python -m src.{name}" in PAGES
    if name not in WITHOUT_CONFIG:
        text = (CONF_DIR / f"hydra/help/{name}.yaml").read_text(encoding="utf-8")
        assert f"python -m src.{name}" in text
        assert (CONF_DIR / f"{name}.yaml").is_file()


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    folders = ("how-to", "explanation", "tutorials")
    pages = [page for folder in folders for page in (ROOT / "docs" / folder).glob("*.md")]
    assert [page.name for page in pages if f"/{page.name})" not in index] == []


def test_no_relative_link_leads_nowhere() -> None:
    texts = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "experiments").rglob("*.md"),
    ]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in texts
        for target in re.findall(r"\]\(([^)\s#:]+)[)#]", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


PROMISES = [
    line
    for line in (ROOT / "docs/explanation/what-a-file-may-do.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| Promise", "| Whatever", "| ---"))
]
TESTS = {
    name
    for file in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
}


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_of_safety_names_a_test_that_there_is(promise: str) -> None:
    named = set(re.findall(r"\btest_\w+\b(?!\.py)", promise.rstrip("| ").rpartition(" | ")[2]))
    assert named
    assert named <= TESTS
