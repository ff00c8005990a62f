"""The catalogue lists what conf/ offers, with papers and sizes."""

import subprocess
import sys
from pathlib import Path

import pytest

from src.app.config.options import options_of
from src.commands.catalog.command import (
    catalog,
    first_sentences,
    kind_called,
    known_kinds,
    sizes_of,
)
from src.core.errors import ConfigError
from src.core.paths import CONF_DIR, ROOT


@pytest.mark.long
def test_enlarging_networks_are_counted_at_a_scale_that_was_published() -> None:
    sizes = sizes_of("model", ["imdn", "rcan", "dncnn"])
    counts = [sizes[name][0] for name in sizes]
    assert counts[:2] == ["694,404 at ×2", "15,592,379 at ×4"]
    assert counts[2].replace(",", "").isdigit()


@pytest.mark.long
def test_models_are_listed_with_their_parameters_and_papers() -> None:
    sizes = sizes_of("model", options_of("model"))
    assert sizes["panet"][0] == "5,957,279"
    assert "arXiv:2004.13824" in sizes["panet"][2]


@pytest.mark.long
def test_every_attention_block_has_a_paper_and_a_cost() -> None:
    for name, (count, cost, paper) in sizes_of(
        "model/attention", options_of("model/attention")
    ).items():
        assert count.replace(",", "").isdigit(), name
        assert cost, name
        assert paper, name


@pytest.mark.parametrize(
    ("name", "group"),
    [("models", "model"), ("attention", "model/attention"), ("losses", "loss"), ("data", "data")],
)
def test_a_kind_may_be_asked_for_in_singular_or_plural(name: str, group: str) -> None:
    assert kind_called(name) == group


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean degradation"):
        kind_called("degradatoin")


def test_parts_of_options_are_not_listed() -> None:
    for group in known_kinds().values():
        assert not any(name.startswith("_") for name in options_of(group))


@pytest.mark.long
@pytest.mark.parametrize(("kind", "option"), [("losses", "charbonnier"), ("models", "ffdnet")])
def test_the_command_prints_one_kind(kind: str, option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "src.catalog", kind],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert option in done.stdout
    assert "bicubic_pillow" not in done.stdout


@pytest.mark.parametrize("words", ["src --help", "src.catalog losses", "src.runs --help"])
def test_a_reader_that_goes_early_is_no_fault(words: str) -> None:
    program = [sys.executable, "-m", *words.split()]
    with subprocess.Popen(
        program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert said == ""


def test_descriptions_are_whole() -> None:
    text = first_sentences(CONF_DIR / "task/super_resolution_luma.yaml")
    assert text.startswith("Super-resolution of the luma")
    assert text.endswith("(VDSR and FSRCNN in PyTorch).")
    assert "@package" not in text


def test_at_80_columns_no_word_breaks_and_each_name_begins_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert catalog(["tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in options_of("task"):
        (index,) = [i for i, line in enumerate(lines) if line.startswith(f"{name} ")]
        column = lines[1].index("what")
        said = [line[column:] for line in lines[index:]]
        assert " ".join(" ".join(said).split()).startswith(
            first_sentences(CONF_DIR / f"task/{name}.yaml")
        )


def test_help_fits_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert catalog(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "hparams_search" in " ".join(lines)


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "says"),
    [
        (None, "there is no package 'own_net'. Install it, or name the folder"),
        ("def f(:", "own_net cannot be imported: SyntaxError"),
        ("def Net(): raise ValueError('too wide')", "model=own cannot be built"),
    ],
)
def test_an_option_of_ones_own_that_cannot_be_built_is_a_sentence(
    code: str | None,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/own.yaml").write_text("# Mine.\n_target_: own_net.Net\n")
    if code is not None:
        (tmp_path / "own_net.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "own_net", raising=False)
    assert catalog(["model", f"--config-dir={tmp_path}"]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_an_unknown_kind_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert catalog(["degradatoin"]) == 2
    assert "Did you mean degradation" in capsys.readouterr().err
