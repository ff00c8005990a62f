"""A run folder with a damaged file: what a resumed run does, says and leaves."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from src.weights.checkpoint_file import read
from src.weights.untrusted import TRUST
from tests.support.compare import LAST, assert_same, rows
from tests.support.runs import TINY, Finished, command, train_tiny

CKPT = Path("checkpoints")
EVERY_TWO = ("callbacks.checkpoint_last.every_n_steps=2", "trainer.val_check_interval=4")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 2, len(content) // 2 + 128):  # more than torch fills up
        content[place] ^= 1
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of ten steps that nothing happened to."""
    folder = tmp_path_factory.mktemp("ten") / "run"
    train_tiny(folder, *EVERY_TWO, steps=10)
    return folder


def _six(folder: Path) -> Path:
    train_tiny(folder, *EVERY_TWO, steps=6)
    return folder


def _to_ten(folder: Path) -> Finished:
    done = command("train", f"resume={folder}", "trainer.max_steps=10")
    assert done.code == 0, done.err
    return done


@pytest.mark.long
@pytest.mark.parametrize("damage", [_cut, _flip, _empty])
def test_a_damaged_last_checkpoint_is_kept_and_the_one_before_it_used(
    damage: Callable[[Path], None], tmp_path: Path, ten: Path
) -> None:
    run = _six(tmp_path / "run")
    damage(run / LAST)
    bad = (run / LAST).read_bytes()
    done = _to_ten(run)
    said = " ".join((done.out + done.err).split())
    assert "damaged" in said
    assert "It is kept as last.damaged.ckpt." in said
    assert "previous.ckpt, step 4" in said
    assert (run / CKPT / "last.damaged.ckpt").read_bytes() == bad
    assert json.loads((run / "resumed.jsonl").read_text())["step"] == 4
    assert_same(run, ten)
    assert rows(run) == rows(ten)


@pytest.mark.long
def test_a_last_checkpoint_that_is_missing_is_the_one_before_it(tmp_path: Path, ten: Path) -> None:
    run = _six(tmp_path / "run")
    (run / LAST).unlink()
    _to_ten(run)
    assert_same(run, ten)
    assert rows(run) == rows(ten)


@pytest.mark.long
def test_where_both_are_damaged_nothing_is_touched(tmp_path: Path) -> None:
    run = _six(tmp_path / "run")
    for name in ("last.ckpt", "previous.ckpt"):
        _cut(run / CKPT / name)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = command("train", f"resume={run}", "trainer.max_steps=10")
    assert done.code == 1
    assert "no checkpoint is left to go on from" in done.err
    assert f"weights={run}/checkpoints/best.ckpt" in done.err
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    log = run / "train.log"
    assert {path: text for path, text in after.items() if path != log} == {
        path: text for path, text in before.items() if path != log
    }


@pytest.mark.long
def test_a_damaged_best_checkpoint_is_kept_and_made_anew(tmp_path: Path) -> None:
    run = _six(tmp_path / "run")
    _flip(run / CKPT / "best.ckpt")
    bad = (run / CKPT / "best.ckpt").read_bytes()
    done = _to_ten(run)
    assert "It is kept as best.damaged.ckpt; the next validation" in " ".join(
        (done.out + done.err).split()
    )
    assert (run / CKPT / "best.damaged.ckpt").read_bytes() == bad
    assert read(run / CKPT / "best.ckpt")["global_step"] > 6


@pytest.mark.long
def test_a_damaged_config_is_kept_and_taken_from_the_checkpoint(tmp_path: Path, ten: Path) -> None:
    run = _six(tmp_path / "run")
    whole = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text("{a: [1")
    done = command("train", f"resume={run}")
    assert done.code == 0, done.err
    assert (run / "config.yaml").read_text() == whole
    assert (run / "config.damaged.yaml").read_text() == "{a: [1"
    _to_ten(run)  # with one validation more, at the end of the six steps
    weights, never_stopped = (read(folder / LAST)["state_dict"] for folder in (run, ten))
    assert all(torch.equal(weights[name], never_stopped[name]) for name in weights)


@pytest.mark.long
def test_a_run_that_stopped_before_its_first_checkpoint_begins_again(
    tmp_path: Path, ten: Path
) -> None:
    run = _six(tmp_path / "run")
    for path in (run / CKPT).iterdir():
        path.unlink()
    (run / "metrics.csv").unlink()
    _to_ten(run)
    assert_same(run, ten)
    assert rows(run) == rows(ten)


@pytest.fixture
def trusted_breakers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run folder name the callbacks that break a run, which no file of conf/ offers."""
    monkeypatch.setenv(TRUST, "tools.breaking")


@pytest.mark.long
@pytest.mark.usefixtures("trusted_breakers")
@pytest.mark.parametrize("words", [(), ("callbacks=[default,ema]", "data.workers=1")])
def test_the_checkpoint_that_a_run_begins_with_is_enough(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    place = (*EVERY_TWO, "trainer.max_steps=6", f"hydra.run.dir={run}")
    breaker = "{_target_: tools.breaking.OverflowAt, step: 0, layer: head}"
    done = command("train", *TINY, *words, *place, f"+callbacks.breaker={breaker}")
    assert done.code == 1
    assert read(run / LAST)["global_step"] == 0
    done = command("train", f"resume={run}", "callbacks.breaker.step=100000")
    assert done.code == 0, done.err
    train_tiny(whole, *words, *EVERY_TWO, steps=6)
    assert_same(run, whole)
    assert rows(run) == rows(whole)


@pytest.mark.long
@pytest.mark.usefixtures("trusted_breakers")
def test_a_validation_in_which_a_run_ended_is_done_when_it_goes_on(
    tmp_path: Path, ten: Path
) -> None:
    run = tmp_path / "run"
    breaker = "{_target_: tools.breaking.FailInValidation, step: 4}"
    words = (*EVERY_TWO, "trainer.max_steps=10", f"hydra.run.dir={run}")
    done = command("train", *TINY, *words, f"+callbacks.breaker={breaker}")
    assert done.code == 1
    assert "images is gone" in done.err
    done = command("train", f"resume={run}", "callbacks.breaker.step=100000")
    assert done.code == 0, done.err
    assert_same(run, ten)
    assert rows(run) == rows(ten)


@pytest.mark.long
def test_the_row_that_is_logged_after_the_last_checkpoint_is_not_lost(tmp_path: Path) -> None:
    """As where a run is killed in between, or waits there for a process that is gone."""
    rare = ("callbacks.checkpoint_last.every_n_steps=2", "trainer.log_every_n_steps=2")
    run, whole = tmp_path / "run", tmp_path / "whole"
    unvalidated = (*rare, "trainer.val_check_interval=100000")
    train_tiny(run, *unvalidated, steps=4)
    path = run / "metrics.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    done = command("train", f"resume={run}", "trainer.max_steps=6")
    assert done.code == 0, done.err
    train_tiny(whole, *unvalidated, steps=6)
    assert rows(run) == rows(whole)
    assert [row["step"] for row in rows(run)] == [
        "1",
        "3",
        "5",
        "5",
    ]  # and its validation
