"""Hydra's sweep syntax as what Optuna chooses from."""

import socket
from pathlib import Path

import pytest

from src.core.errors import ConfigError

optuna = pytest.importorskip("optuna", reason="the extra 'sweep' is not installed")

from hydra.core.override_parser.overrides_parser import OverridesParser  # noqa: E402
from optuna.distributions import (  # noqa: E402
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from src.app.sweeps.study import count, fail, open_study, split_overrides  # noqa: E402


def _split(*texts: str) -> tuple[list[str], dict[str, BaseDistribution]]:
    return split_overrides(OverridesParser.create().parse_overrides(list(texts)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=interval(0.1,1)", FloatDistribution(0.1, 1.0)),
        ("lr=tag(log,interval(1e-5,1e-2))", FloatDistribution(1e-5, 1e-2, log=True)),
        ("lr=tag(int,interval(1,8))", IntDistribution(1, 8)),
        ("lr=range(8,33,8)", IntDistribution(8, 32, step=8)),
        ("lr=range(0.5,2.0,0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
        ("lr=none,pyramid", CategoricalDistribution(["none", "pyramid"])),
        ("lr=choice(1,2.5)", CategoricalDistribution(["1", "2.5"])),
    ],
)
def test_each_kind_of_sweep_has_its_distribution(text: str, expected: BaseDistribution) -> None:
    assert _split(text) == ([], {"lr": expected})


def test_single_values_are_the_same_in_all_trials_and_the_last_wins() -> None:
    fixed, space = _split("a=1,2", "seed=3", "+b.c=x", "a=interval(0,1)", "seed=4")
    assert fixed == ["seed=4", "+b.c=x"]
    assert space == {"a": FloatDistribution(0.0, 1.0)}


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (("a=1",), "has nothing to choose"),
        (("a=range(5,5)",), "the range is empty"),
        (("a=tag(log,interval(-1,1))",), "low"),
    ],
)
def test_what_cannot_be_searched_is_refused(texts: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        _split(*texts)


@pytest.mark.long
def test_a_killed_trial_is_made_up_for_and_one_that_failed_is_not(tmp_path: Path) -> None:
    study = open_study(f"sqlite:///{tmp_path}/s.db", "s", direction="maximize", seed=0)
    done, failed, stopped, _running = (study.ask() for _ in range(4))
    study.tell(done, 1.0)
    fail(study, failed, by_itself=True)
    fail(study, stopped, by_itself=False)
    assert count(study) == 3
    gone = study.ask()
    gone.set_user_attr("worker", f"{socket.gethostname()}:{2**22 + 1}")  # no process has it
    again = open_study(f"sqlite:///{tmp_path}/s.db", "s", direction="maximize", seed=0)
    assert again.trials[gone.number].state == optuna.trial.TrialState.FAIL
    assert count(again) == 3


@pytest.mark.parametrize(
    "url", ["nonsense", "sqlite:////nowhere/x.db", "evil://x", "nothing+driver://u:pw@h/db"]
)
def test_a_storage_that_cannot_be_opened_is_a_sentence_without_its_password(url: str) -> None:
    with pytest.raises(
        ConfigError, match=r"hydra\.sweeper\.storage=\w+.*cannot be opened"
    ) as refused:
        open_study(url, "x", direction="minimize", seed=0)
    assert "pw" not in str(refused.value)
