"""Optuna's sweeper with the real command: studies that go on, trials that are stopped."""

import json
from pathlib import Path

import pytest

from tests.support.runs import TINY, Finished, command, process

optuna = pytest.importorskip("optuna", reason="the extra 'sweep' is not installed")
pytestmark = pytest.mark.slow

LENGTH = ("trainer.max_steps=2", "trainer.val_check_interval=1")
SEARCH = ("-m", "hydra/sweeper=optuna", "optimizer.lr=tag(log,interval(1e-5,1e-2))")


def _search(folder: Path, *words: str) -> Finished:
    output = f"paths.output_root={folder}"
    done = command("train", *TINY, *LENGTH, *SEARCH, output, *words)
    assert done.code == 0, done.err
    return done


def _study(folder: Path, name: str) -> "optuna.Study":
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/studies/{name}.db")


def test_the_same_command_goes_on_with_a_named_study(tmp_path: Path) -> None:
    _search(tmp_path, "hydra.sweeper.study=rates", "hydra.sweeper.n_trials=2")
    first = [trial.params for trial in _study(tmp_path, "rates").trials]
    _search(tmp_path, "hydra.sweeper.study=rates", "hydra.sweeper.n_trials=3")
    trials = _study(tmp_path, "rates").trials
    assert [trial.params for trial in trials[:2]] == first
    assert len(trials) == 3
    assert len({trial.params["optimizer.lr"] for trial in trials}) == 3


def test_a_hopeless_trial_is_stopped_and_recorded_as_such(tmp_path: Path) -> None:
    study = optuna.create_study(
        study_name="rates", storage=_storage(tmp_path), direction="maximize"
    )
    for _ in range(4):  # better at step 1 than any real trial
        study.add_trial(optuna.create_trial(value=99.0, intermediate_values={1: 99.0}))
    words = ("hydra.sweeper.study=rates", "hydra.sweeper.n_trials=5", "hydra.sweeper.prune=true")
    done = _search(tmp_path, *words)
    assert "Stopped after step 1" in done.err
    (sweep,) = (tmp_path / "multirun").iterdir()
    (result,) = json.loads((sweep / "sweep_results.json").read_text())
    assert result["status"] == "pruned"
    assert _study(tmp_path, "rates").trials[-1].state == optuna.trial.TrialState.PRUNED


def test_a_search_without_a_complete_trial_fails(tmp_path: Path) -> None:
    study = optuna.create_study(
        study_name="rates", storage=_storage(tmp_path), direction="maximize"
    )
    study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.PRUNED))
    words = ("hydra.sweeper.study=rates", "hydra.sweeper.n_trials=1")
    output = f"paths.output_root={tmp_path}"
    done = command("train", *TINY, *LENGTH, *SEARCH, output, *words)
    assert done.code == 1
    assert "The study rates has no complete trial, of 1 begun" in done.err


def test_two_commands_work_on_one_study(tmp_path: Path) -> None:
    words = ("hydra.sweeper.study=rates", "hydra.sweeper.n_trials=4")
    given = (*TINY, *LENGTH, *SEARCH, f"paths.output_root={tmp_path}", *words)
    workers = [process("train", *given) for _ in range(2)]
    said = [worker.communicate(timeout=240)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    trials = _study(tmp_path, "rates").trials
    assert len(trials) in {4, 5}  # both may begin the last one
    assert len({trial.user_attrs["worker"] for trial in trials}) == 2


def _storage(folder: Path) -> str:
    (folder / "studies").mkdir()
    return f"sqlite:///{folder}/studies/rates.db"
