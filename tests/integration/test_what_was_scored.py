"""A record says which pixels were scored and how; its hash covers them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.commands.cli.launch import EXIT_CONFIG
from src.core.paths import CONF_DIR
from src.data.prepared import fingerprint
from tests.support.images import pixels, write, write_folder
from tests.support.runs import Finished, command

NOISE = ("task=denoise", "model=identity", "images=false", "device=cpu")


def _evaluated(tmp_path: Path, *words: str) -> tuple[dict[str, Any], Finished]:
    output = tmp_path / "scores"
    cache = f"data.cache_dir={tmp_path / 'cache'}"
    done = command("evaluate", *words, cache, f"output={output}")
    assert done.code == 0, done.err
    return json.loads((output / "results.json").read_text()), done


@pytest.mark.long
def test_the_hash_covers_the_pixels_and_the_record_has_them(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", 2)
    first, _ = _evaluated(tmp_path, *NOISE, f"sets={folder}")
    again, _ = _evaluated(tmp_path, *NOISE, f"sets={folder}")
    write(folder / "b.png", pixels(seed=99))
    other, _ = _evaluated(tmp_path, *NOISE, f"sets={folder}")
    assert first["benchmarks"]["photos"]["pixels"]["a"] == fingerprint(pixels(seed=0))
    assert first["config_sha256"] == again["config_sha256"] != other["config_sha256"]
    sets = [record["benchmarks"]["photos"]["set"] for record in (first, other)]
    assert sets[0]["fingerprint"] != sets[1]["fingerprint"]


@pytest.mark.long
def test_the_hash_covers_how_each_image_went_through_the_network(tmp_path: Path) -> None:
    write(tmp_path / "photos/large.png", pixels(90, 60))
    write(tmp_path / "photos/small.png", pixels(20, 30))
    words = (*NOISE, f"sets={tmp_path / 'photos'}")
    records = [_evaluated(tmp_path, *words, f"inference.tile={tile}")[0] for tile in (48, "null")]
    tiles = [record["benchmarks"]["photos"]["tile"] for record in records]
    assert tiles == [{"large": 48, "small": None}, {"large": None, "small": None}]
    assert records[0]["config_sha256"] != records[1]["config_sha256"]


@pytest.mark.long
def test_a_set_that_differs_from_the_published_one_is_marked(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set5", 5)  # not Set5, whatever the folder says
    record, done = _evaluated(tmp_path, *NOISE, f"sets={folder}")
    marked = record["benchmarks"]["set5"]["set"]
    assert (marked["known_as"], marked["foreign"]) == (None, ["a", "b", "c", "d", "e"])
    assert "no published score compares" in " ".join(done.out.split())


@pytest.mark.long
def test_the_seed_chooses_the_noise_and_realisations_have_a_spread(tmp_path: Path) -> None:
    words = (*NOISE, f"sets={write_folder(tmp_path / 'photos', 2)}")
    means = [
        _evaluated(tmp_path, *words, f"seed={seed}")[0]["benchmarks"]["photos"]["mean"]["psnr"]
        for seed in (0, 1, 2)
    ]
    record, done = _evaluated(tmp_path, *words, "realisations=3")
    board = record["benchmarks"]["photos"]
    assert len(set(means)) == 3
    assert record["noise_seeds"] == [0, 1, 2]
    assert board["mean"]["psnr"] == pytest.approx(np.mean(means))
    assert board["over_realisations"]["psnr"] == pytest.approx(np.std(means, ddof=1))
    assert "3 realisations" in done.out


def test_luma_is_said_and_recorded(tmp_path: Path) -> None:
    words = ("task=dejpeg", "model=identity", "images=false", "device=cpu")
    record, done = _evaluated(tmp_path, *words, f"sets={write_folder(tmp_path / 'photos', 1)}")
    assert record["read_as"] == {"channels": 1, "grey": "content"}
    assert "luma of 16 to 235" in done.out


def test_a_seed_is_refused_where_nothing_is_drawn(tmp_path: Path) -> None:
    words = ("task=super_resolution", "model=bicubic", f"sets={write_folder(tmp_path / 'p')}")
    done = command("evaluate", *words, "seed=1", f"output={tmp_path / 'scores'}")
    assert done.code != 0
    assert "draws nothing" in " ".join(done.err.split())


def test_no_realisation_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    sets = f"sets=[{write_folder(tmp_path / 'one')},{write_folder(tmp_path / 'two')}]"
    done = command("evaluate", *NOISE, sets, "realisations=0", f"output={tmp_path / 'scores'}")
    assert done.code == EXIT_CONFIG
    assert "realisations=0 must be 1 or more" in done.err
    assert not (tmp_path / "scores").exists()


TASKS_OF_CONF = sorted(file.stem for file in (CONF_DIR / "task").glob("*.yaml"))


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS_OF_CONF)
def test_sets_and_val_dir_score_the_same_pixels(task: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", 2, height=26, width=34)
    model = "bicubic" if task.startswith("super") else "identity"
    words = (f"task={task}", f"model={model}", "images=false", "device=cpu")
    one, _ = _evaluated(tmp_path, *words, f"sets={folder}")
    two, _ = _evaluated(tmp_path, *words, "data=folder", f"data.val_dir={folder}")
    assert one["benchmarks"] == two["benchmarks"]
    assert one["config_sha256"] == two["config_sha256"]
