"""The wheel: what it contains, and that it works from any folder and writes nothing into itself."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.core.paths import ROOT
from tests.support.runs import TINY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BESIDE = ("conf", "experiments/published/rows.yaml", "experiments/zoo/*/model.safetensors")
"""What lies beside src/ in a checkout and in it in a wheel."""


def tracked(*paths: str) -> list[str]:
    """Return the files of the checkout that a clone would have."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of what a clone would have, with a machine's own configuration beside it."""
    tree = tmp_path_factory.mktemp("clone")
    for name in tracked("src", "conf", "hydra_plugins", "experiments", *_FILES):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tree / name)
    (tree / "conf/local/default.yaml").write_text("seed: 13\n")
    stale = tree / "build/lib/src/deleted_long_ago.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    _pip("wheel", "--no-build-isolation", f"--wheel-dir={tree / 'dist'}", str(tree))
    return next((tree / "dist").glob("exemplar-*.whl"))


_FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel's content into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    _pip("install", f"--target={folder}", str(wheel))
    return folder


def _pip(verb: str, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "-q", verb, "--no-deps", *words], check=True)


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """Make a folder to work in that has a ``src`` of its own, as many projects do."""
    folder = tmp_path / "away"
    (folder / "src").mkdir(parents=True)
    (folder / "src/__init__.py").write_text("raise ImportError('the wrong src')\n")
    return folder


def run(site: Path, cwd: Path, command: list[str]) -> str:
    env = {
        **{name: value for name, value in os.environ.items() if name != "EXEMPLAR_CACHE"},
        "PYTHONPATH": str(site),
        "PYTHONDONTWRITEBYTECODE": "1",
        "EXEMPLAR_NATIVE": "0",
        "XDG_CACHE_HOME": str(cwd / "user_cache"),
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def content(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if file.suffix != ".pyc" and file.is_file()}


def test_it_contains_what_git_tracks_and_nothing_of_this_machine(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    beside = [name for name in tracked(*BESIDE) if not name.endswith(".md")]
    assert names == {*tracked("src", "hydra_plugins"), *(f"src/{name}" for name in beside)}
    assert "src/conf/train.yaml" in names
    assert "src/experiments/zoo/denoise/model.safetensors" in names
    assert any(name.endswith(".cpp") for name in names)
    assert any(name.endswith("page.html.j2") for name in names)


def test_it_trains_in_two_processes_and_predicts_from_any_folder(site: Path, away: Path) -> None:
    before = content(site)
    exemplar = str(site / "bin/exemplar")
    assert "train       Train a network\n" in run(site, away, [exemplar, "--help"])

    words = [*TINY, "trainer=ddp_cpu", "trainer.max_steps=2", "hydra.run.dir=outputs/mine"]
    run(site, away, [exemplar, "train", *words])
    assert (away / "outputs/mine/checkpoints").is_dir()

    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(away / "photo.png")
    asked = ["checkpoint=outputs/mine", "input=photo.png", "output=restored"]
    run(site, away, [exemplar, "predict", *asked])
    assert [file.name for file in (away / "restored").iterdir()] == ["photo.png"]
    run(site, away, [exemplar, "denoise", "photo.png"])  # with the network that comes along
    (away / "photo_denoised.png").unlink()

    written = {path.name for path in away.iterdir()} - {"src", "photo.png", "user_cache"}
    assert written == {"outputs", "restored"}
    assert content(site) == before


def test_the_module_works_too_and_caches_images_for_the_user(site: Path, tmp_path: Path) -> None:
    before = content(site)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number}.png")
    words = [word for word in TINY if not word.startswith(("data=", "data.cache="))]
    data = ["data=folder", "data.train_dir=photos", "data.val_dir=photos", "trainer.max_steps=1"]
    run(site, tmp_path, ["-m", "src.train", *words, *data])
    assert list((tmp_path / "outputs/denoise/panet_tiny").iterdir())
    assert list((tmp_path / "user_cache/exemplar/images").rglob("*.npy"))
    assert not (tmp_path / ".cache").exists()
    assert content(site) == before
