import os
from pathlib import Path

import pytest
import torch

from src.app.config.resume import (
    given_now,
    saved_overrides,
    with_last,
    with_saved,
    with_that_of_checkpoint,
)
from src.app.config.typed import with_config_dir
from src.core.errors import CheckpointError, ConfigError, UntrustedError
from src.core.origin import commit, environment, origin
from src.core.paths import ROOT
from src.weights.checkpoint import find, open_checkpoint
from src.weights.checkpoint_file import read


def _file(path: Path, *, age_s: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (1e9 - age_s, 1e9 - age_s))
    return path


def test_a_file_is_itself(tmp_path: Path) -> None:
    path = _file(tmp_path / "any.name")
    assert find(path) == path


def test_a_run_folder_is_its_best_then_its_last(tmp_path: Path) -> None:
    last = _file(tmp_path / "checkpoints/last.ckpt")
    assert find(tmp_path) == last
    best = _file(tmp_path / "checkpoints/best.ckpt")
    assert find(tmp_path) == best
    assert find(tmp_path / "checkpoints") == best


def test_a_folder_of_runs_is_the_newest_of_them(tmp_path: Path) -> None:
    new = _file(tmp_path / "a/new/checkpoints/best.ckpt")
    _file(tmp_path / "b/old/checkpoints/best.ckpt", age_s=1000)
    assert find(tmp_path) == new


def _trained(folder: Path, *names: str, age_s: int, step: int = 5) -> Path:
    content = read(ROOT / "tests/made_before/run/checkpoints/last.ckpt")
    for name in names:
        path = _file(folder / "checkpoints" / name)
        torch.save({**content, "global_step": step}, path)
        os.utime(path, (1e9 - age_s, 1e9 - age_s))
    return folder


def test_of_several_runs_it_is_said_which_was_taken_and_which_newer_one_was_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    _trained(tmp_path / "old", "best.ckpt", "last.ckpt", age_s=1000)
    middle = _trained(tmp_path / "middle", "best.ckpt", "last.ckpt", age_s=500, step=7)
    newest = _trained(tmp_path / "newest", "last.ckpt", age_s=0)
    assert open_checkpoint(tmp_path).step == 7
    assert f"newest of 3: {middle}, step 7" in caplog.text
    assert f"{newest} is newer and was not taken" in caplog.text
    caplog.clear()
    open_checkpoint(middle)
    open_checkpoint(middle / "checkpoints")
    assert not caplog.records


@pytest.mark.parametrize("key", ["resume", "checkpoint"])
def test_last_is_the_run_that_was_last_written(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = f"paths.output_root={tmp_path}"
    with pytest.raises(ConfigError, match=f"{key}=last: there is no run below"):
        with_last([f"{key}=last", root])
    _trained(tmp_path / "a/old", "last.ckpt", age_s=1000)
    newest = _trained(tmp_path / "b/new", "last.ckpt", age_s=0)
    assert with_last([f"{key}=last", "x=1", root]) == [f"{key}={newest}", "x=1", root]
    assert f"{key}=last: {newest}" in capsys.readouterr().err
    assert with_last(["resume=auto"]) == ["resume=auto"]


def test_nothing_there_is_refused_with_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"Give a \.ckpt or \.safetensors file"):
        find(tmp_path)


def test_a_checkpoint_of_a_later_format_is_refused(tmp_path: Path) -> None:
    entry = {"format": 99, "version": "9.0", "config": {}}
    torch.save({"restoration": entry, "state_dict": {}, "global_step": 0}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"format 99, written by version 9\.0.*Update"):
        open_checkpoint(tmp_path / "x.ckpt")


def test_the_origin_is_version_and_commit() -> None:
    assert set(origin()) == {"version", "commit"}
    assert commit() == "unknown" or len(commit().removesuffix("+changes")) == 40


def test_the_environment_is_plain() -> None:
    held = environment()
    assert held["hardware"]["cores"] >= 1
    assert "lightning" in held["packages"]


def _run(folder: Path, *overrides: str) -> Path:
    folder.mkdir(exist_ok=True)
    lines = "".join(f"- '{text}'\n" for text in overrides) or "[]"
    (folder / "overrides.yaml").write_text(lines)
    return folder


def test_without_resume_nothing_is_added() -> None:
    assert with_saved(["seed=1", "resume=null"]) == ["seed=1", "resume=null"]


def test_saved_words_come_before_those_typed_now(tmp_path: Path) -> None:
    run = _run(tmp_path, "model=panet", "trainer.max_steps=5")
    words = [f"resume={run}", "trainer.max_steps=10"]
    assert with_saved(words) == ["model=panet", *words]


def test_a_group_typed_now_takes_its_saved_keys_with_it(tmp_path: Path) -> None:
    run = _run(tmp_path, "scheduler=multistep", "scheduler.milestones=[3]", "loss=l1")
    words = [f"resume={run}", "scheduler=constant"]
    assert with_saved(words) == ["loss=l1", *words]


def test_only_what_is_new_counts_as_given(tmp_path: Path) -> None:
    run = _run(tmp_path, "model=panet")
    assert given_now(run, ["model=panet", f"resume={run}", "seed=1"]) == ["seed=1"]


def test_a_search_path_is_remembered_where_it_was_typed_and_refused_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXEMPLAR_CACHE", str(tmp_path / "mine"))
    conf = tmp_path / "conf"
    conf.mkdir()
    (path,) = with_config_dir([], str(conf))
    resumed, scored = [f"resume={_run(tmp_path / 'run', path)}"], [f"checkpoint={tmp_path / 'run'}"]
    assert with_saved(resumed) == [path, *resumed]
    assert with_that_of_checkpoint(scored) == [path, *scored]

    monkeypatch.setenv("EXEMPLAR_CACHE", str(tmp_path / "another's"))
    for function, words in ((with_saved, resumed), (with_that_of_checkpoint, scored)):
        with pytest.raises(UntrustedError, match=r"never given .* give hydra\.searchpath=… again"):
            function(words)
        assert function([path, *words]) == [path, *words]


@pytest.mark.parametrize("value", ["file://{}", "choice([file://{}])", "[[file://{}]]", "{{a: 1}}"])
def test_a_search_path_of_another_form_is_refused(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXEMPLAR_CACHE", str(tmp_path / "mine"))
    with_config_dir([], str(tmp_path))
    run = _run(tmp_path, f"hydra.searchpath={value.format(tmp_path)}")
    with pytest.raises(UntrustedError, match="how Hydra works"):
        with_saved([f"resume={run}"])


def test_a_run_without_saved_words_has_none(tmp_path: Path) -> None:
    assert saved_overrides(tmp_path) == []


@pytest.mark.parametrize("text", ["{", "a: b", "- 3", "\x00"])
def test_a_damaged_list_of_overrides_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "overrides.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"overrides\.yaml .*restore it, or remove it"):
        saved_overrides(tmp_path)
