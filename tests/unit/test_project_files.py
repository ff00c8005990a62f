"""What a host of repositories, a container and a citation read of this project."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

import src
from src.app.results import read_results
from src.core.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHON = SpecifierSet(PROJECT["requires-python"])
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
FORMS = sorted(
    set((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    - {ROOT / ".github/ISSUE_TEMPLATE/config.yml"}
)
LABELLED = {"textarea", "input", "dropdown", "checkboxes"}


def read(file: Path) -> dict[Any, Any]:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("file", FORMS, ids=lambda file: file.stem)
def test_a_form_has_what_a_form_must_have(file: Path) -> None:
    form = read(file)
    assert form["name"]
    assert form["description"]
    parts = form["body"]
    assert {part["type"] for part in parts} <= {*LABELLED, "markdown"}
    assert all(part["attributes"]["label"] for part in parts if part["type"] in LABELLED)
    names = [part["id"] for part in parts if part["type"] in LABELLED]
    assert len(names) == len({*names})


def test_a_bug_is_reported_with_what_the_doctor_says() -> None:
    assert len(FORMS) == 3
    assert "python -m src.doctor" in (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text("utf-8")
    assert (ROOT / "src/doctor.py").is_file()


def test_the_workflow_runs_what_a_clone_runs_and_may_only_read() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(
        re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step
    )
    runs = [step["run"] for step in steps if "run" in step]
    assert {".ci/run", "make test-oldest", "make lock"} <= {*runs}
    assert {run.removeprefix("make ") for run in runs if run.startswith("make ")} <= TARGETS
    versions = [step["with"]["python-version"] for step in steps if "setup-python" in str(step)]
    assert all(version in PYTHON for version in versions)


def test_the_container_installs_as_a_clone_does() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "RUN make install TORCH=${TORCH}\n" in text
    assert "ARG TORCH=cpu\n" in text
    (base,) = re.findall(r"^FROM python:([\d.]+)-slim$", text, re.MULTILINE)
    assert base in PYTHON
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv", "outputs", "data"} <= {*ignored}


def test_the_citation_is_of_this_version_and_licence() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["version"] == src.__version__
    assert citation["license"] == PROJECT["license"]
    for work in (citation, *citation["references"]):
        assert all("name" in author or "family-names" in author for author in work["authors"])


def test_a_tag_says_the_version_of_its_commit() -> None:
    words = ["git", "tag", "--points-at", "HEAD", "--list", "v*"]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git, or no repository")
    assert set(done.stdout.split()) <= {f"v{src.__version__}"}


def test_an_index_can_describe_the_package() -> None:
    assert {"authors", "keywords", "classifiers", "urls", "readme", "license"} <= PROJECT.keys()


@pytest.mark.long
def test_every_results_json_in_the_repository_is_a_record() -> None:
    for file in sorted((ROOT / "experiments").glob("**/results.json")):
        assert read_results(file)["benchmarks"], file
