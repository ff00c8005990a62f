"""The list of runs says how far each is, how well, and in what state."""

import os
from pathlib import Path

import pytest
import yaml

from src.commands.runs.command import runs
from src.core.locks import alone_in


def _run(folder: Path, *, steps: int, scores: tuple[float, ...], monitor: str) -> Path:
    config = {
        "task": {"_target_": "src.training.tasks.denoise.Denoise"},
        "model": {"_target_": "src.models.backbones.panet.PANet"},
        "monitor": monitor,
        "trainer": {"max_steps": steps},
    }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    lines = [f"{index},{score}" for index, score in enumerate(scores)]
    (folder / "metrics.csv").write_text("\n".join([f"step,{monitor}", *lines, "damaged,"]) + "\n")
    return folder


def test_each_run_has_its_step_its_best_score_and_its_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(tmp_path / "a/done", steps=2, scores=(31.0, 30.0), monitor="val/psnr")
    _run(tmp_path / "b/stopped", steps=9, scores=(0.5, 0.25, 0.75), monitor="val/lpips")
    crashed = _run(tmp_path / "ab/crashed", steps=2, scores=(31.0, 30.0), monitor="val/psnr")
    os.utime(crashed / "metrics.csv", (1, 1))
    (crashed / "crash.log").touch()
    (tmp_path / "c").mkdir()
    (tmp_path / "c/config.yaml").write_text("- no run\n")
    assert runs([str(tmp_path)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    done, stopped = lines["a/done"], lines["b/stopped"]
    assert lines["ab/crashed"].split()[-1] == "failed"
    assert done.split() == ["a/done", "2", "2", "31.0000", "val/psnr", "denoise", "panet", "done"]
    assert stopped.split()[:4] == ["b/stopped", "3", "9", "0.2500"]
    assert stopped.split()[-1] == "stopped"


def test_a_folder_that_this_process_has_is_its_own_and_one_without_runs_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone_in(tmp_path, busy="", unusable=""):
        assert runs([str(tmp_path)]) == 1
    assert "there is no run below" in capsys.readouterr().err


def test_a_typed_folder_starts_at_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(tmp_path / "mine/a/done", steps=1, scores=(31.0,), monitor="val/psnr")
    monkeypatch.chdir(tmp_path)
    assert runs(["mine"]) == 0
    assert "a/done" in capsys.readouterr().out


@pytest.mark.parametrize("metric", [{"_target_": "her_node.f"}, "her_word.f"], ids=["node", "word"])
def test_a_run_from_anywhere_has_nothing_imported(
    metric: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    text = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\ndef f(): ...\n"
    for name in ("her_node.py", "her_word.py"):
        (tmp_path / name).write_text(text)
    folder = _run(tmp_path / "a", steps=2, scores=(31.0, 30.0), monitor="val/psnr")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "metrics": {"psnr": metric}}))
    assert runs([str(tmp_path)]) == 0
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config.yaml", "a: " + "[" * 5000),
        ("config.yaml", "a: &a [*a]\n"),
        ("config.yaml", "task: {_target_: a.b}\nmodel: {_target_: a.b}\nmetrics: word\n"),
        ("metrics.csv", f"step,val/psnr\n0,{'9' * 200_000}\n"),
        ("metrics.csv", "step\n" + "9" * 5000 + "\n"),
    ],
)
def test_what_is_no_run_does_not_end_the_list(
    file: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(tmp_path / "good", steps=2, scores=(31.0, 30.0), monitor="val/psnr")
    bad = _run(tmp_path / "bad", steps=2, scores=(1.0,), monitor="val/psnr")
    (bad / file).write_text(text)
    assert runs([str(tmp_path)]) == 0
    assert "good" in capsys.readouterr().out
