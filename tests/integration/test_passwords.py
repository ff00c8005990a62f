"""Passwords in addresses are kept out of everything that is written, and given again to go on."""

from pathlib import Path

import pytest

from tests.support.runs import TINY, command, train_tiny

HIDDEN = "geheim"
GIVEN = (
    "logger=[csv,wandb]",
    "logger.wandb.mode=disabled",
    f"logger.wandb.group='http://me:{HIDDEN}@host'",  # as any key that takes a text
)


def _with_it(place: Path) -> list[str]:
    files = (path for path in place.rglob("*") if path.is_file())
    return [str(path.relative_to(place)) for path in files if HIDDEN.encode() in path.read_bytes()]


@pytest.mark.long
@pytest.mark.parametrize("trainer", ["cpu", "ddp_cpu"])
def test_a_run_has_none_in_its_folder_and_asks_for_it_to_go_on(
    trainer: str, tmp_path: Path
) -> None:
    run, words = tmp_path / "run", (*GIVEN, f"trainer={trainer}", "trainer.precision=32-true")
    done = train_tiny(run, *words, "trainer.log_every_n_steps=1")
    assert HIDDEN not in done.out + done.err
    assert "http://me:***@host" in (run / "config.yaml").read_text()
    assert _with_it(tmp_path) == []
    refused = command("train", f"resume={run}", "trainer.max_steps=3")
    assert refused.code == 2
    assert "logger.wandb.group=http://me:***@host: passwords are not saved" in refused.err
    again = command("train", f"resume={run}", "trainer.max_steps=3", *GIVEN)
    assert again.code == 0, again.err
    scored = command("evaluate", f"checkpoint={run}", f"output={tmp_path / 'scores'}")
    assert scored.code == 0, scored.err
    assert _with_it(tmp_path) == []


@pytest.mark.long
def test_a_sweep_has_none_and_goes_on(tmp_path: Path) -> None:
    length = ("trainer.max_steps=1", "trainer.val_check_interval=1", "resume=auto", *GIVEN)
    words = ("-m", *TINY, *length, "seed=0,1", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    for _ in range(2):
        done = command("train", *words)
        assert done.code == 0, done.err
        assert HIDDEN not in done.out + done.err
    assert "job 1 is done already" in done.err
    assert _with_it(tmp_path) == []


@pytest.mark.slow
def test_a_search_has_none(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra 'sweep' is not installed")
    storage = f"sqlite:///file:{tmp_path}/study.db?uri=true&token={HIDDEN}"
    length = ("trainer.max_steps=1", "trainer.val_check_interval=1")
    search = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "hydra.sweeper.prune=true")
    words = (*search, f"hydra.sweeper.storage='{storage}'", "optimizer.lr=interval(1e-5,1e-2)")
    done = command("train", "-m", *TINY, *length, *words, f"paths.output_root={tmp_path}")
    assert done.code == 0, done.err
    assert HIDDEN not in done.out + done.err
    assert _with_it(tmp_path) == []


@pytest.mark.long
def test_the_address_of_a_wandb_server_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", f"http://me:{HIDDEN}@127.0.0.1:9")
    done = command("train", *TINY, *GIVEN[:2], f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 2
    assert "WANDB_BASE_URL holds a password" in done.err
    assert HIDDEN not in done.out + done.err
