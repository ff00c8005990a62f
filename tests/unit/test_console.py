"""`exemplar`, the console command: what it lists, runs and refuses."""

import re
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from src.__main__ import (
    RESTORING,
    commands,
    images_and_options,
    main,
    predict_words,
    word_usage,
)
from src.core.paths import CONF_DIR, PACKAGE, ROOT


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


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--help"], 0, "0.1.0"),
        (["--version"], 0, "0.1.0"),
        (["denoise", "--help"], 0, "exemplar denoise photo.jpg   "),
        (["denoise", "-h", "a.png"], 0, "photo_denoised.jpg\n"),
        (["dejpeg", "--help"], 0, "photo_dejpeg.jpg\n"),
        (["demosaic", "--help"], 0, "exemplar demosaic mosaic.png --phase rggb"),
        (["upscale", "--help"], 0, "photo_x3.jpg\n"),
        (["upscale"], 2, "error: no image is named: exemplar upscale photo.jpg"),
        (["denoise", "--", "--help"], 2, "error: --help: there is no such file or folder."),
        (["denoise", "READNE.md"], 2, "no such file or folder. Did you mean README.md"),
    ],
)
def test_help_and_refusals_import_neither_torch_nor_hydra(
    words: list[str], code: int, said: str
) -> None:
    result = exemplar(*words, flags=("-X", "importtime"))
    assert result.returncode == code
    timed, others = [], [result.stdout]
    for line in result.stderr.splitlines(keepends=True):
        (timed if line.startswith("import time:") else others).append(line)
    assert said in "".join(others)
    imported = {line.rpartition("|")[2].strip() for line in timed}
    assert "src.core" in imported
    assert not imported & {"torch", "hydra", "omegaconf"}


def test_the_help_of_a_word_names_keys_and_files_that_there_are() -> None:
    keys = {"help", "key", *OmegaConf.load(CONF_DIR / "predict.yaml")}
    for word in RESTORING:
        text = word_usage(word)
        assert text.startswith(f"exemplar {word} <images>")
        assert {*re.findall(r"--([a-z]\w*)", text)} <= keys
        assert max(map(len, text.splitlines())) <= 80


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
        (["a.png", "--cfg", "job"], ["input=['a.png']", "--cfg", "job"]),
    ],
)
def test_images_and_options_become_words_of_predict(typed: list[str], words: list[str]) -> None:
    assert predict_words("denoise", *images_and_options(typed)) == ["task=denoise", *words]


@pytest.mark.parametrize(
    "typed", [["a.png", "--output"], ["a.png", "-o"], ["--compare", "--output", "b"]]
)
def test_an_option_without_a_value_is_refused(
    typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        images_and_options(typed)
    assert stop.value.code == 2
    assert "needs a value" in capsys.readouterr().err
