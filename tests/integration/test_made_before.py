"""What an earlier version made still works: tests/made_before holds files of commit 7a10bdc.

They name components by the places that they had then; src/core/renamed.py knows where these are.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from src.core.paths import CONF_DIR, ROOT
from src.data.image_io import write_png
from tests.support.runs import TINY, command

MADE = ROOT / "tests/made_before"
BEFORE = json.loads((MADE / "commands.json").read_text(encoding="utf-8"))
GONE: dict[str, set[str]] = {}
"""Command → keys that are no more; CHANGELOG says why."""


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MADE / "run", tmp_path / "run"))


@pytest.mark.long
def test_a_checkpoint_scores_as_it_did(old_run: Path, tmp_path: Path) -> None:
    done = command("evaluate", f"checkpoint={old_run}", f"output={tmp_path / 'scores'}")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "scores/results.json").read_text(encoding="utf-8"))
    scores = record["benchmarks"]["synthetic"]["mean"]
    assert scores["psnr"] == pytest.approx(10.654, abs=2e-3)


@pytest.mark.long
def test_a_run_folder_goes_on(old_run: Path) -> None:
    done = command("train", f"resume={old_run}", "trainer.max_steps=4")
    assert done.code == 0, done.err
    with (old_run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        steps = [row["step"] for row in csv.DictReader(file)]
    assert steps[-1] == "3"  # counted from 0


def test_a_network_in_a_file_restores(tmp_path: Path) -> None:
    picture = tmp_path / "in/small.png"
    write_png(picture, np.full((24, 20, 3), 128, np.uint8))
    words = (f"input={picture}", f"output={tmp_path / 'out'}")
    done = command("predict", f"checkpoint={MADE / 'net.safetensors'}", *words)
    assert done.code == 0, done.err
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["small.png"]


@pytest.mark.long
def test_an_experiment_file_trains(tmp_path: Path) -> None:
    experiment = {
        "callbacks": {"ema": {"_target_": "src.callbacks.ema.Ema", "decay": 0.9}},
        "task": {"_target_": "src.tasks.denoise.Denoise"},
    }
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\n" + yaml.safe_dump(experiment)
    (tmp_path / "experiment/old.yaml").write_text(text, encoding="utf-8")
    search = f"hydra.searchpath=[file://{tmp_path}]"
    length = ("trainer.max_steps=1", "trainer.val_check_interval=1")
    folder = f"hydra.run.dir={tmp_path / 'run'}"
    done = command("train", search, "experiment=old", *TINY, *length, folder)
    assert done.code == 0, done.err


@pytest.mark.parametrize("name", sorted(BEFORE["keys"]))
def test_every_key_of_a_command_still_exists(name: str) -> None:
    shown = command(name, "--cfg", "job")
    assert shown.code == 0
    now = set(_keys(yaml.safe_load(shown.out)))
    assert set(BEFORE["keys"][name]) - now - GONE.get(name, set()) == set()


@pytest.mark.parametrize("group", sorted(BEFORE["groups"]))
def test_every_option_of_a_group_still_exists(group: str) -> None:
    missing = [o for o in BEFORE["groups"][group] if not (CONF_DIR / group / f"{o}.yaml").is_file()]
    assert missing == []


def _keys(node: object, path: str = "") -> list[str]:
    if isinstance(node, dict) and node:
        return [key for name, value in node.items() for key in _keys(value, f"{path}.{name}")]
    return [path.lstrip(".")]
