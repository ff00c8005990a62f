"""The install: what is declared, what is pinned, what make and CI really run."""

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from src.core.paths import ROOT
from tools.oldest import declared

CORE = [
    "torch",
    "lightning",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "wandb",
    "kornia",
    "albumentations",
]
TARGETS = [
    "help",
    "install",
    "demo",
    "smoke",
    "test",
    "test-all",
    "test-oldest",
    "gpu",
    "lint",
    "types",
    "layers",
    "check",
    "fix",
    "audit",
    "lock",
    "clean",
]


def project() -> dict[str, list[str]]:
    """Return the declared requirements: core and the extras by name."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"core": table["dependencies"], **table["optional-dependencies"]}


def pins() -> dict[str, Version]:
    """Return constraints.txt as canonical name → version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def needed_by(requirement: Requirement) -> Iterator[Requirement]:
    """Yield what the installed ``requirement`` itself requires here, with its extras."""
    try:
        lines = importlib.metadata.requires(requirement.name) or []
    except importlib.metadata.PackageNotFoundError:  # a hand-made environment with fewer tools
        return
    for line in lines:
        inner = Requirement(line)
        environments = [{"extra": extra} for extra in (requirement.extras or {""})]
        if inner.marker is None or any(inner.marker.evaluate(env) for env in environments):
            yield inner


def installed_by_make() -> list[Requirement]:
    """Return what CI installs: the core, and dev and openvino with the extras that they name."""
    declared = project()
    todo, found = [*declared["core"], *declared["dev"], *declared["openvino"]], []
    while todo:
        requirement = Requirement(todo.pop())
        if requirement.name == "exemplar":
            todo.extend(line for extra in requirement.extras for line in declared[extra])
        else:
            found.append(requirement)
    return found


@cache
def closure() -> dict[str, list[Requirement]]:
    """Return every requirement, direct and indirect, under the canonical name it asks for."""
    todo = installed_by_make()
    found: dict[str, list[Requirement]] = {}
    seen: set[str] = set()
    while todo:
        requirement = todo.pop()
        if str(requirement) not in seen:
            seen.add(str(requirement))
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
            todo.extend(needed_by(requirement))
    return found


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in the repository root, as if no other make had started these tests."""
    outer = ("MAKE", "MFLAGS", "TORCH", "PYTHON", "VENV", "EXTRAS")
    env = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_the_eight_core_packages_are_declared_without_an_extra() -> None:
    declared = {canonicalize_name(Requirement(line).name) for line in project()["core"]}
    assert declared >= set(CORE)


def test_constraints_pin_every_direct_and_indirect_dependency_inside_its_range() -> None:
    pinned = pins()
    wanted = closure()
    assert sorted(set(wanted) - set(pinned)) == []
    outside = [
        str(requirement)
        for name, requirements in wanted.items()
        for requirement in requirements
        if not requirement.specifier.contains(pinned[name], prereleases=True)
    ]
    assert outside == []


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_the_two_malicious_releases_of_lightning_are_refused(version: str) -> None:
    lightning = next(line for line in project()["core"] if line.startswith("lightning"))
    assert not Requirement(lightning).specifier.contains(version)


def test_the_oldest_environment_has_each_direct_requirement_at_its_lower_bound() -> None:
    extras = {"test": ["b>=2,<3", "pytest"], "more": ["exemplar[test]", "c==4"]}
    assert list(declared(["a>=1.5,!=1.6", "exemplar[more]"], extras)) == [
        *("a==1.5", "b==2", "pytest", "c==4")
    ]
    core = [Requirement(line) for line in declared(project()["core"], {})]
    assert all("==" in str(requirement.specifier) for requirement in core)


def test_what_is_installed_takes_the_oldest_python_that_we_take() -> None:
    """One of the documentation refused 3.11.2, which Debian 12 has, and so the install failed."""
    refusing = {}
    for name in pins().keys() & closure().keys():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # of an extra
            asked = importlib.metadata.metadata(name).get("Requires-Python", "")
            if Version("3.11.0") not in SpecifierSet(asked):
                refusing[name] = asked
    assert refusing == {}


def test_torch_is_pinned_without_a_build_so_that_cpu_and_cuda_both_fit() -> None:
    assert pins()["torch"].local is None


def test_torchvision_is_neither_pinned_nor_required_nor_installed() -> None:
    installed = {canonicalize_name(dist.name) for dist in importlib.metadata.distributions()}
    assert "torchvision" not in pins().keys() | closure().keys() | installed


def test_make_without_a_target_lists_every_target_with_its_purpose() -> None:
    listed = re.findall(r"^  make ([a-z-]+) +\S", make().stdout, flags=re.MULTILINE)
    assert set(listed) >= set(TARGETS)


@pytest.mark.parametrize(
    ("build", "asked"),
    [
        ("cu126", r"--index-url https://\S+/whl/cu126 torch==[\d.]+\+cu126 "),
        ("default", r"--no-deps torch===[\d.]+ "),
    ],
)
def test_one_switch_chooses_the_build_of_torch(build: str, asked: str, tmp_path: Path) -> None:
    plan = make("--dry-run", "install", f"TORCH={build}", f"VENV={tmp_path}/venv").stdout
    assert re.search(asked, plan)


def test_only_torch_comes_from_the_index_of_torch(tmp_path: Path) -> None:
    plan = make("--dry-run", "install", "TORCH=cpu", f"VENV={tmp_path}/venv").stdout
    lines = [line for line in plan.splitlines() if "index-url" in line]
    assert len(lines) == 1
    assert "--no-deps --index-url" in lines[0]
    assert "--constraint constraints.txt --editable '.[dev]'" in plan


def test_the_chosen_build_of_torch_is_remembered(tmp_path: Path) -> None:
    (tmp_path / ".torch").write_text("cu126\n")
    plan = make("--dry-run", "test", f"VENV={tmp_path}").stdout
    assert "+cu126" in plan
    assert "+cpu" not in plan


def test_the_chosen_extras_are_installed_and_remembered(tmp_path: Path) -> None:
    (tmp_path / ".installed-cpu").touch()  # of an install with other extras
    words = ("--dry-run", "TORCH=cpu", f"VENV={tmp_path}")
    assert "--editable '.[dev,openvino]'" in make(*words, "install", "EXTRAS=dev,openvino").stdout
    (tmp_path / ".extras").write_text("dev,openvino\n")
    assert "--editable '.[dev,openvino]'" in make(*words, "test").stdout
    (tmp_path / ".extras").write_text("dev\n")
    assert "pip" not in make(*words, "test").stdout


def test_ci_has_every_package_that_tests_of_export_need() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert script.index("make install EXTRAS=dev,openvino\n") < script.index("make test")
    installed = {requirement.name for requirement in installed_by_make()}
    assert {"onnx", "onnxscript", "onnxruntime", "openvino"} <= installed


def test_an_unfit_python_is_refused_with_the_way_out(tmp_path: Path) -> None:
    result = make("install", "PYTHON=false", f"VENV={tmp_path}/venv")
    assert result.returncode != 0
    assert "Python 3.11 or newer is needed" in result.stderr
    assert "make install PYTHON=" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_an_install_that_is_up_to_date_does_nothing(tmp_path: Path) -> None:
    (tmp_path / ".installed-cpu").touch()
    result = make("install", "PYTHON=false", "TORCH=cpu", f"VENV={tmp_path}")
    assert result.returncode == 0
    assert "pip" not in result.stdout


def test_what_a_killed_pip_left_is_forgotten_before_pip_runs_again(tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.11/site-packages"
    for name, files in {"whole": ["INSTALLER", "RECORD"], "cut": ["METADATA"]}.items():
        info = packages / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        for file in files:
            (info / file).touch()
    (packages / "~umpy").mkdir()
    # `true` passes as Python, so that the install runs on to its first use of the environment.
    make("install", "PYTHON=true", f"VENV={tmp_path}")
    assert [path.name for path in packages.iterdir()] == ["whole-1.0.dist-info"]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert "make test" in readme
    assert script[-1] == "make test"


@pytest.mark.parametrize("name", ["Makefile", "constraints.txt", ".ci/run", "pyproject.toml"])
def test_nothing_names_a_path_of_one_machine(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w.:/])/(?:home|root|tmp|opt|work|Users|mnt)\b|file:", text) == []


@pytest.mark.long
@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="of x86 processors")
def test_the_demo_trains_in_float32_where_bf16_is_emulated() -> None:
    words = ["make", "--dry-run", "demo", f"PY={sys.executable}"]
    env = {**os.environ, "ATEN_CPU_CAPABILITY": "avx2"}  # what torch then takes the processor for
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert "-m src.train experiment=demo trainer=cpu" in done.stdout
