"""`exemplar`, the console command: what it lists, runs and refuses."""

import subprocess
import sys

import pytest

from src.__main__ import commands, main, predict_words
from src.core.paths import PACKAGE, ROOT


def exemplar(*words: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, "-m", "src", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_alone_it_lists_every_command_with_its_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["exemplar"])
        main()
    printed = capsys.readouterr().out
    names = {file.stem for file in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert set(commands()) == names
    for name, purpose in commands().items():
        assert f"  {name:<10}  {purpose}\n" in printed
        assert purpose
        assert "`" not in purpose


def test_a_misspelt_command_is_answered_with_the_nearest() -> None:
    result = exemplar("trian", "task=denoise")
    assert result.returncode == 2
    assert result.stderr == "error: 'trian' is no command. Did you mean train?\n"


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_import_neither_torch_nor_hydra(word: str) -> None:
    result = exemplar(word, flags=("-X", "importtime"))
    assert result.returncode == 0
    assert "0.1.0" in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert not imported & {"torch", "hydra", "omegaconf"}


@pytest.mark.long
def test_the_words_are_those_of_the_module() -> None:
    words = ("train", "task=demosaic", "data.batch_sise=3", "--cfg", "job")
    module = [sys.executable, "-m", f"src.{words[0]}", *words[1:]]
    typed = subprocess.run(module, cwd=ROOT, capture_output=True, text=True, check=False)
    result = exemplar(*words)
    assert (result.returncode, result.stdout) == (typed.returncode, typed.stdout) == (2, "")
    assert result.stderr == typed.stderr
    assert "batch_size" in result.stderr


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["a.png"], ["input=['a.png']"]),
        (["a b.png", "it's.jpg"], ["input=['a b.png','it\\'s.jpg']"]),
        (["-", "--output", "-"], ["input=['-']", "output='-'"]),
        (["a.png", "-o", "out (1)"], ["input=['a.png']", "output='out (1)'"]),
        (["--scale", "2", "--", "-a.png", "--b.png"], ["input=['-a.png','--b.png']", "scale=2"]),
        (["a.png", "--scale=3", "device=cpu"], ["input=['a.png']", "scale=3", "device=cpu"]),
        (["--help"], ["--help"]),
        (["a.png", "--cfg", "job"], ["input=['a.png']", "--cfg", "job"]),
    ],
)
def test_images_and_options_become_words_of_predict(typed: list[str], words: list[str]) -> None:
    assert predict_words("denoise", typed) == ["task=denoise", *words]


@pytest.mark.parametrize(
    "typed", [["a.png", "--output"], ["a.png", "-o"], ["--compare", "--output", "b"]]
)
def test_an_option_without_a_value_is_refused(
    typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        predict_words("denoise", typed)
    assert stop.value.code == 2
    assert "needs a value" in capsys.readouterr().err
