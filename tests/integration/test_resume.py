import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from src.weights.checkpoint_file import LAST, read
from tests.support.compare import assert_same, rows
from tests.support.runs import TINY, Finished, command, train_tiny

EVERY_FIVE = "trainer.val_check_interval=5"


def _to_ten(folder: Path, *words: str) -> Finished:
    done = command("train", f"resume={folder}", "trainer.max_steps=10", *words)
    assert done.code == 0, done.err
    return done


def _train(folder: Path, *words: str, steps: int) -> Path:
    train_tiny(folder, EVERY_FIVE, *words, steps=steps)
    return folder


VARIANTS = {
    "plain": (),
    "two workers": ("data.workers=2",),
    "accumulated": ("trainer.accumulate_grad_batches=2",),
    "accumulated, two workers": ("trainer.accumulate_grad_batches=2", "data.workers=2"),
    "milestones": ("scheduler=multistep", "scheduler.milestones=[3,7]"),
    "mean": ("optimizer=adamw", "degradation.sigma=[0,55]"),
}


@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=name, marks=() if name == "plain" else pytest.mark.long)
        for name, words in VARIANTS.items()
    ],
)
def test_five_steps_and_five_resumed_equal_ten(words: tuple[str, ...], tmp_path: Path) -> None:
    five = _train(tmp_path / "five", *words, steps=5)
    _to_ten(five)
    ten = _train(tmp_path / "ten", *words, steps=10)
    assert_same(five, ten)
    assert rows(five) == rows(ten)


@pytest.mark.long
def test_a_resumed_run_keeps_its_best_checkpoint(tmp_path: Path) -> None:
    folder = _train(tmp_path / "run", steps=5)
    best = (folder / "checkpoints/best.ckpt").read_bytes()
    _to_ten(folder, "optimizer.lr=1")  # ruins the network
    assert (folder / "checkpoints/best.ckpt").read_bytes() == best


@pytest.mark.long
def test_keys_of_a_group_chosen_then_can_be_given_now(tmp_path: Path) -> None:
    folder = _train(tmp_path / "run", "scheduler=multistep", "scheduler.milestones=[3]", steps=5)
    _to_ten(folder, "scheduler.milestones=[3,6]")
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    assert saved["scheduler"]["milestones"] == [3, 6]
    assert saved["scheduler"]["_target_"].endswith("MultiStep")


@pytest.mark.long
def test_another_group_replaces_the_one_chosen_then(tmp_path: Path) -> None:
    folder = _train(tmp_path / "run", "loss=charbonnier", "loss.eps=0.1", steps=5)
    _to_ten(folder, "loss=l1")
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    assert saved["loss"] == {"_target_": "torch.nn.L1Loss"}


@pytest.mark.long
def test_a_learning_rate_given_at_a_resume_is_used(tmp_path: Path) -> None:
    schedule = ("scheduler=multistep", "scheduler.milestones=[3]", "optimizer.lr=1e-3")
    folder = _train(tmp_path / "run", *schedule, steps=5)
    _to_ten(folder, "optimizer.lr=4e-4")
    (group,) = read(folder / "checkpoints" / LAST)["optimizer_states"][0]["param_groups"]
    assert group["lr"] == pytest.approx(2e-4)  # halved once


@pytest.mark.long
def test_the_first_of_a_key_typed_twice_can_be_given_at_a_resume(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_tiny(run, "optimizer.lr=1e-3", "optimizer.lr=2e-3")
    done = command("train", f"resume={run}", "optimizer.lr=1e-3", "trainer.max_steps=3")
    assert done.code == 0, done.err
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["optimizer"]["lr"] == 1e-3


@pytest.mark.long
def test_milestones_given_at_a_resume_are_used(tmp_path: Path) -> None:
    schedule = ("scheduler=multistep", "scheduler.milestones=[3]", "optimizer.lr=1e-3")
    folder = _train(tmp_path / "run", *schedule, steps=5)
    _to_ten(folder, "scheduler.milestones=[3,6,8]")
    (group,) = read(folder / "checkpoints" / LAST)["optimizer_states"][0]["param_groups"]
    assert group["lr"] == pytest.approx(1e-3 / 8)


def _lr(folder: Path) -> list[float]:
    return [float(row["train/lr"]) for row in rows(folder) if row["train/lr"]]


@pytest.mark.long
def test_another_length_does_not_change_the_schedule_unsaid(tmp_path: Path) -> None:
    folder = _train(tmp_path / "run", "scheduler=warmup_cosine", steps=5)
    before = (folder / "config.yaml").read_bytes()
    done = command("train", f"resume={folder}", "trainer.max_steps=10")
    assert done.code == 2
    assert "the rate after step 5 would be 5e-05 instead of 0" in done.err
    assert "scheduler.total_steps=10" in done.err
    assert "scheduler.total_steps=5" in done.err
    assert (folder / "config.yaml").read_bytes() == before
    assert not (folder / "resumed.jsonl").exists()


@pytest.mark.long
@pytest.mark.parametrize(("end", "rate"), [(10, 0.5e-4), (5, 0.0)])
def test_the_schedule_of_a_longer_run_is_the_one_that_was_said(
    end: int, rate: float, tmp_path: Path
) -> None:
    folder = _train(tmp_path / "run", "scheduler=warmup_cosine", steps=5)
    _to_ten(folder, f"scheduler.total_steps={end}")
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    assert saved["scheduler"]["total_steps"] == end
    assert len(_lr(folder)) == 10
    assert _lr(folder)[6] == pytest.approx(rate, rel=0.4)


@pytest.mark.long
def test_the_learning_rate_of_each_step_is_logged(tmp_path: Path) -> None:
    words = ("scheduler=multistep", "scheduler.milestones=[3]", "optimizer.lr=1e-4")
    folder = _train(tmp_path / "run", *words, steps=5)
    assert _lr(folder) == [1e-4, 1e-4, 1e-4, 5e-5, 5e-5]


@pytest.mark.long
def test_a_schedule_with_an_end_of_its_own_keeps_it(tmp_path: Path) -> None:
    schedule = ("scheduler=warmup_cosine", "scheduler.total_steps=7")
    folder = _train(tmp_path / "run", *schedule, steps=5)
    _to_ten(folder)
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    assert saved["scheduler"]["total_steps"] == 7


@pytest.mark.long
def test_another_schedule_given_at_a_resume_is_used(tmp_path: Path) -> None:
    folder = _train(tmp_path / "run", steps=5)
    _to_ten(folder, "scheduler=warmup_cosine", "scheduler.floor=0.25")
    (group,) = read(folder / "checkpoints" / LAST)["optimizer_states"][0]["param_groups"]
    assert group["lr"] == pytest.approx(0.25e-4)


@pytest.mark.long
def test_what_was_given_at_a_resume_holds_for_the_next(tmp_path: Path) -> None:
    folder = _train(tmp_path / "run", steps=5)
    _to_ten(folder)
    first = read(folder / "checkpoints" / LAST)["global_step"]
    assert first == 10
    done = command("train", f"resume={folder}")
    assert done.code == 0, done.err
    assert re.search(r"Steps +10 to 10,", done.err)
    history = [json.loads(line) for line in (folder / "resumed.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in history] == [5, 10]
    assert history[0]["overrides"] == ["trainer.max_steps=10"]


@pytest.mark.long
def test_the_config_of_the_run_is_the_truth_for_what_is_not_given(tmp_path: Path) -> None:
    folder = _train(tmp_path / "run", steps=5)
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("every_n_steps: 1\n", "every_n_steps: 3\n"))
    _to_ten(folder)
    assert "every_n_steps: 3\n" in path.read_text()


@pytest.mark.long
def test_a_removed_callback_is_gone(run: Path) -> None:
    done = command("train", f"resume={run}", "trainer.max_steps=3", "~callbacks.throughput")
    assert done.code == 0, done.err
    assert "throughput" not in (run / "config.yaml").read_text()


@pytest.mark.long
def test_a_run_folder_that_was_moved_goes_on_in_its_new_place(tmp_path: Path) -> None:
    old = _train(tmp_path / "old", steps=5)
    best = read(old / "checkpoints/best.ckpt")["global_step"]
    new = Path(shutil.move(old, tmp_path / "new"))
    _to_ten(new, "optimizer.lr=1")
    assert not old.exists()
    assert read(new / "checkpoints" / LAST)["global_step"] == 10
    assert read(new / "checkpoints/best.ckpt")["global_step"] == best


@pytest.mark.long
def test_the_weights_that_a_run_began_with_are_not_needed_again(tmp_path: Path, run: Path) -> None:
    folder = _train(tmp_path / "begun", f"weights={run}", steps=5)
    shutil.rmtree(run)
    _to_ten(folder)


@pytest.mark.long
def test_a_key_typed_again_as_it_was_is_no_change(run: Path) -> None:
    done = command("train", f"resume={run}", *TINY, "trainer.max_steps=3")
    assert done.code == 0, done.err
    assert read(run / "checkpoints" / LAST)["global_step"] == 3


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("model=panet", "keeps its model"),
        ("model.blocks=4", "keeps its model"),
        ("model/attention=none", "keeps its model"),
        ("+io.scale=2", "keeps its io"),
        ("task=denoise", "keeps its task"),
        ("seed=3", "keeps its seed"),
        ("weights=elsewhere", "keeps its weights"),
        ("optimizer=adamw", "keeps its optimizer"),
        ("experiment=demo", "keeps its own settings"),
        ("debug=smoke", "keeps its own settings"),
    ],
)
def test_what_a_resumed_run_keeps_cannot_be_changed(trained: Path, word: str, says: str) -> None:
    done = command("train", f"resume={trained}", word)
    assert done.code == 2
    assert f"error: {word}: a resumed run {says}" in done.err
    assert not (trained / "resumed.jsonl").exists()


@pytest.mark.long
def test_a_typo_beside_resume_is_refused_with_the_nearest_name(trained: Path) -> None:
    done = command("train", f"resume={trained}", "trainer.max_step=3")
    assert done.code == 2
    assert "max_steps" in done.err
    assert not (trained / "resumed.jsonl").exists()


@pytest.mark.long
def test_a_sweep_does_not_resume(trained: Path) -> None:
    done = command("train", "-m", f"resume={trained}", "optimizer.lr=1e-3,1e-4")
    assert done.code == 2
    assert "leave out -m" in done.err
