"""What a training says and leaves, as a new user meets it."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from src.core.paths import ROOT
from src.data.image_io import read_image
from tests.support.images import pixels, write, write_folder
from tests.support.runs import TINY, command, train_tiny

EARLY = (
    "+callbacks.early={_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/psnr,"
    " mode: min, patience: 1}"
)


FAILING = (
    "+callbacks.failing={_target_: lightning.pytorch.callbacks.ThroughputMonitor,"
    " batch_size_fn: {_target_: torch.numel, _partial_: true}}"
)
"""Raises TypeError after the first batch."""


def _words(folder: Path, *words: str) -> tuple[str, ...]:
    return (*TINY, "trainer.max_steps=4", f"hydra.run.dir={folder}", *words)


@pytest.mark.long
def test_the_banner_names_the_parts_and_each_validation_is_a_line_also_in_a_file(
    tmp_path: Path,
) -> None:
    done = train_tiny(tmp_path / "run", "model/attention=channel", steps=4)
    said = " ".join(done.err.split())
    for part in ("denoise: gaussian sigma=[25, 25]", "Data synthetic", "attention channel",
                 "adam, lr 0.0001, schedule constant", "cpu, precision 32-true"):  # fmt: skip
        assert part in said
    log = (tmp_path / "run/train.log").read_text()
    (line,) = [line for line in log.splitlines() if "step 4 of 4" in line]
    for part in ("val/psnr", "val/ssim", "best val/psnr", "(this)", "lr 0.0001", "images/s"):
        assert part in line
    assert "\r" not in done.err + done.out  # no bar where it would stay
    assert "step 2 of 4" in log

    again = command("train", f"resume={tmp_path / 'run'}", "trainer.max_steps=6")
    assert again.code == 0, again.err
    assert "4 to 6, batch 4" in again.err


@pytest.mark.long
def test_early_stopping_reads_as_such(tmp_path: Path) -> None:
    words = _words(tmp_path / "run", "trainer.max_steps=40", "trainer.val_check_interval=1", EARLY)
    done = command("train", *words)
    assert done.code == 0, done.err
    said = " ".join(done.err.split())
    assert "as asked for by EarlyStopping: Monitored metric val/psnr did not improve" in said
    assert "Score it:" in said
    assert "Continue with" not in said


@pytest.mark.long
def test_images_without_any_to_score_are_said_and_the_advice_works(tmp_path: Path) -> None:
    folders = [write_folder(tmp_path / name, 2, seed=seed) for seed, name in enumerate("ab")]
    own = ("data=folder", f"data.train_dir=[{folders[0]},{folders[1]}]")
    done = command("train", *_words(tmp_path / "run", *own))
    assert done.code == 0, done.err
    assert "Total length" not in done.err
    assert "data ready: train, 4 images" in done.out + done.err
    assert "set data.val_dir=<folder>" in done.out + done.err
    advice = done.err[done.err.index("Score it:") :].split("src.evaluate ")[1]
    words = " ".join(advice.split()).replace("<a folder of clean images>", str(folders[0])).split()
    scored = command("evaluate", *words, "device=cpu", f"output={tmp_path / 'scores'}")
    assert scored.code == 0, scored.err


@pytest.mark.long
@pytest.mark.parametrize("key", ["data.val_dir", "sets"])
def test_several_folders_are_scored_each_under_its_name(tmp_path: Path, key: str) -> None:
    folders = [write_folder(tmp_path / name, 2, seed=seed) for seed, name in enumerate("ab")]
    both = f"[{folders[0]},{folders[1]}]"
    words = ("data=folder", f"data.train_dir={folders[0]}", f"{key}={both}")
    done = command("train", *_words(tmp_path / "run", *words))
    assert done.code == 0, done.err
    assert "val/a/psnr" in done.out + done.err
    assert "val/b/psnr" in done.out + done.err
    again = command("train", f"resume={tmp_path / 'run'}", "sets=set5")
    assert "a resumed run keeps its sets" in again.err


@pytest.mark.long
def test_sets_take_the_place_of_what_the_data_would_score(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "own", 2)
    done = train_tiny(tmp_path / "run", f"sets={folder}", steps=1)
    assert "own, mean of 2" in done.err
    assert "synthetic, mean" not in done.err
    words = _words(tmp_path / "no", "data=folder", f"data.train_dir={folder}")
    refused = command("train", *words, f"sets={folder}", f"data.val_dir={tmp_path}")
    assert refused.code == 2
    assert "both say what is scored" in refused.err


@pytest.mark.long
def test_a_misspelt_folder_leaves_no_run_folder(tmp_path: Path) -> None:
    photos = write_folder(tmp_path / "photos")
    for words in (("train_dir=nope",), (f"train_dir={photos}", "val_dir=nope")):
        own = ["data=folder", *(f"data.{word}" for word in words)]
        done = command("train", *_words(tmp_path / "run", *own))
        assert done.code == 1
        assert "does not exist" in done.err
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words", [("predict", "checkpoint=nope.ckpt", "input=a"), ("train", "data=folder")]
)
def test_a_refused_start_leaves_the_logs_of_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.log").write_text("a year's work")
    run = (f"hydra.run.dir={tmp_path}", "data.train_dir=nope") if words[0] == "train" else ()
    assert command(*words, *run).code == 1
    assert (tmp_path / "mine.log").read_text() == "a year's work"


@pytest.mark.long
def test_images_that_two_processes_refuse_leave_no_run(tmp_path: Path) -> None:
    photos = write_folder(tmp_path / "photos")
    (photos / "bad.png").write_bytes(b"no image")
    own = ("data=folder", f"data.train_dir={photos}", "data.val_dir=null", "trainer=ddp_cpu")
    done = command("train", *_words(tmp_path / "run", *own))
    assert done.code == 1
    assert "bad.png: is not an image" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_images_that_are_refused_leave_no_run_and_none_is_announced(tmp_path: Path) -> None:
    photos, scored = write_folder(tmp_path / "photos"), write_folder(tmp_path / "scored")
    write(scored / "banner.png", pixels(10, 90))
    words = _words(tmp_path / "run", "data=folder", f"data.train_dir={photos}")
    done = command("train", *words, f"data.val_dir={scored}")
    assert done.code == 1
    assert "banner: 90×10 px is smaller" in done.err
    assert f"Data        folder: images under {photos}" in " ".join(done.err.split("\n"))
    assert "Run folder" not in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_a_trial_run_validates_the_middle_of_an_image_only(tmp_path: Path) -> None:
    words = _words(tmp_path / "run", "debug=smoke", "callbacks.middle_only.side=32")
    done = command("train", *words)
    assert done.code == 0, done.err
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert config["callbacks"]["middle_only"]["side"] == 32
    panels = (tmp_path / "run/images").rglob("*.png")
    assert {read_image(panel, channels=3).shape for panel in panels} == {(32, 4 * 32, 3)}


@pytest.mark.long
def test_a_failing_callback_of_lightnings_is_named_as_lightnings(tmp_path: Path) -> None:
    broken = (
        "+callbacks.finetune={_target_: lightning.pytorch.callbacks.BackboneFinetuning,"
        " unfreeze_backbone_at_epoch: 0}"
    )
    done = command("train", *_words(tmp_path / "run", broken))
    assert done.code != 0
    assert "a fault of the program" not in done.err
    assert "BackboneFinetuning" in done.err


def test_an_exported_network_has_the_mode_of_other_files(trained: Path, tmp_path: Path) -> None:
    done = command("export", f"checkpoint={trained}", f"output={tmp_path / 'net.safetensors'}")
    assert done.code == 0, done.err
    (tmp_path / "other").touch()
    files = (tmp_path / "net.safetensors", tmp_path / "other")
    assert len({stat.S_IMODE(file.stat().st_mode) for file in files}) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("scale=3", "task=super_resolution task.scale="),
        ("model.channels=-3", "model cannot be built"),
    ],
)
def test_a_value_that_cannot_be_is_met_with_a_sentence(
    tmp_path: Path, word: str, says: str
) -> None:
    done = command("train", *_words(tmp_path / "run", word))
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err


@pytest.mark.long
def test_the_recipes_of_papers_take_ones_own_photographs(tmp_path: Path) -> None:
    photos = write_folder(tmp_path / "photos")
    own = ("data=folder", f"data.train_dir={photos}", f"data.val_dir={photos}", "--cfg=job")
    for name in ("panet/denoise_color_s10", "panet/demosaic", "csnln/super_resolution_x2"):
        done = command("train", f"experiment={name}", *own)
        assert done.code == 0, done.err


@pytest.mark.long
def test_a_training_that_fails_ends_although_its_loader_ignores_signals(tmp_path: Path) -> None:
    words = _words(tmp_path / "run", FAILING, "data.workers=2")
    done = subprocess.run(
        [sys.executable, "-m", "src.train", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "numel" in done.stderr


@pytest.mark.long
def test_runs_without_a_score_and_those_with_one_are_listed(tmp_path: Path) -> None:
    train_tiny(tmp_path / "scored")
    train_tiny(tmp_path / "unscored")
    (tmp_path / "unscored/metrics.csv").write_text("step,train/loss\n0,0.5\n")
    done = command("runs", str(tmp_path))
    assert done.code == 0, done.err
    for part in ("scored", "unscored", " denoise "):
        assert part in done.out


@pytest.mark.long
def test_the_banner_names_the_attention_of_the_weights(tmp_path: Path) -> None:
    train_tiny(tmp_path / "first", "model/attention=none")
    words = [word for word in TINY if not word.startswith("model")]
    length = ("trainer.max_steps=2", f"hydra.run.dir={tmp_path / 'second'}")
    done = command("train", *words, f"weights={tmp_path / 'first'}", *length)
    assert done.code == 0, done.err
    assert "attention none" in done.err
