"""What README and docs show does run, as shown: in a checkout of its own, on tiny data."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from src.core.paths import ROOT
from src.models.backbones.panet import PANet
from tests.config.test_documented_commands import COMMANDS
from tests.support.images import pixels, write, write_folder
from tests.support.published import to_reference_weights
from tests.support.runs import python

pytestmark = pytest.mark.slow

PAGES = (
    "README.md",
    "export.md",
    "use-your-own-photos.md",
    "fine-tune.md",
    "train-on-pairs.md",
    "losses.md",
    "degrade.md",
    "evaluate.md",
)
ELSEWHERE = {
    "resume=": "needs a run cut short; test_resume.py does",
    "architecture=ffdnet": "needs published weights; test_fine_tune.py does where they are",
    "loss.perceptual_file=": "needs VGG-19; test_losses.py has weights of its layout",
    "data=sidd": "needs SIDD; test_pairs.py has its layout",
    "weights=outputs/edsr_x2": "needs a run of another task; test_fine_tune.py does",
    "compare=[outputs/compare": "needs the records of another command; test_evaluate_many.py does",
    "experiments/attention_comparison": "takes hours; test_comparison.py runs one of its own",
    "output=demo.onnx": "needs an extra; test_export.py does where it is installed",
}
"""Shown commands that are run by other tests, by what marks them."""

OF_A_SMALLER_MACHINE = {
    "trainer=gpu": "trainer=cpu",
    "model=panet": "model=panet_tiny",
    "model=panet_small": "model=panet_tiny",
    "model=edsr": "model=edsr_tiny",
    "trainer.max_steps=1000000": "trainer.max_steps=2",
}
SHORT = {
    "trainer.max_steps": "2",
    "trainer.val_check_interval": "2",
    "trainer.log_every_n_steps": "1",
    "data.batch_size": "2",
    "data.workers": "0",
}
SMALL_IMAGES = {
    "data": "folder",
    "data.train_dir": "photos/train",
    "data.val_dir": "photos/val",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with what the pages take for granted: photographs, sets, weights."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("src", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("photos/train", "photos/more", "photos/val", "Set5"):
        write_folder(root / name, 2, height=64, width=72)
    write_folder(root / "photos/train_noisy", 2, height=64, width=72, seed=1)
    write_folder(root / "pairs/HR", 2, height=128, width=144)
    write_folder(root / "pairs/LR", 2, height=64, width=72)
    write(root / "photos/a.jpg", pixels(64, 72))
    for name in ("set5", "set14", "cbsd68", "classic5"):
        write_folder(root / "data" / name, 2, height=208, width=216)
        (root / "data" / name / "manifest.json").write_text("{}")
    for name in ("rival/set5", "rival/set14", "outputs/ours/set5", "outputs/ours/set14"):
        write_folder(root / name, 2, height=208, width=216, seed=len(name))
    write_folder(root / "outputs/rival", 2, height=64, width=72)
    write_folder(root / "outputs/degraded/target", 2, height=64, width=72, seed=1)
    net = PANet(channels=64, blocks=2)
    torch.save(to_reference_weights(net, "panet"), root / "N50.pt")
    python(root, "-m", "src.train", "experiment=demo", *_short(("experiment=demo",)))
    for name in "ab":
        shutil.copytree(root / "outputs/demo", root / "outputs/denoise" / name)
    return root


def shown() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the commands to run, each once."""
    for command in dict.fromkeys(COMMANDS):
        page, _, words = command
        if page in PAGES and not any(mark in word for mark in ELSEWHERE for word in words):
            yield command


@pytest.mark.parametrize(
    ("page", "name", "words"),
    list(shown()),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_shown_command_runs(checkout: Path, page: str, name: str, words: tuple[str, ...]) -> None:
    smaller = tuple(OF_A_SMALLER_MACHINE.get(word, word) for word in words)
    if name == "train" and "--help" not in words:
        smaller += (*_small(smaller), *_short(smaller))
    outputs = [word for word in words if re.fullmatch(r"output=[\w./]+", word)]
    made = [checkout / word.removeprefix("output=") for word in outputs]
    for path in filter(Path.is_dir, made):  # by another page
        shutil.rmtree(path)
    said = python(checkout, "-m", f"src.{name}", *smaller)
    assert "Traceback" not in said, page
    assert all(path.exists() for path in made)


def _small(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the smallest network, where nothing that is typed says which one."""
    chosen = {word.partition("=")[0] for word in words}
    return () if chosen & {"model", "task", "experiment", "weights"} else ("model=panet_tiny",)


def _short(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return what makes a training take seconds, but for what is typed already."""
    typed = {word.partition("=")[0] for word in words}
    on_small = typed & {"weights", "loss", "degradation"} and "data" not in typed
    short = SHORT | (SMALL_IMAGES if on_small else {})
    return tuple(f"{key}={value}" for key, value in short.items() if key not in typed)
