from pathlib import Path

import pytest

from src.app.config.typed_paths import from_here
from src.core.paths import ROOT

WORDS = [
    ("output=out", 'output="{here}/out"'),
    ('input="in/**/*.png"', 'input="{here}/in/**/*.png"'),
    ("+data.val_dir=a", '+data.val_dir="{here}/a"'),
    ("data.train_dir=a,b/c", 'data.train_dir="{here}/a","{here}/b/c"'),
    ("sets=[set5,photos]", 'sets=["set5","{here}/photos"]'),
    ("checkpoint={one:run/a,two:zoo/x}", 'checkpoint={one:"{here}/run/a",two:"zoo/x"}'),
    ("results=outputs/a", 'results="{here}/outputs/a"'),
]
KEPT = ["output=/a/b", "output=~/a", "output=null", "sets=set5", "resume=auto", "checkpoint=zoo/x",
        "source=https://a/b.zip", "compare=true", "sigma=25", "data=folder", "task=denoise",
        "output='"]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("typed", "meant"), WORDS)
def test_relative_paths_that_are_typed_start_at_the_current_folder(
    here: Path, typed: str, meant: str
) -> None:
    assert from_here([typed]) == [meant.replace("{here}", str(here))]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("word", KEPT)
def test_what_is_no_relative_path_stays(word: str) -> None:
    assert from_here([word]) == [word]


def test_at_the_root_nothing_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = [typed for typed, _ in WORDS]
    assert from_here(words) == words
