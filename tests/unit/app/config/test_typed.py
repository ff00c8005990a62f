from pathlib import Path

import pytest

from src.app.config.check import Request
from src.app.config.options import register_resolvers
from src.app.config.typed import as_meant
from src.core.paths import ROOT
from tests.support.compose import check

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
    assert as_meant([typed]) == [meant.replace("{here}", str(here))]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("word", KEPT)
def test_what_is_no_relative_path_stays(word: str) -> None:
    assert as_meant([word]) == [word]


def test_at_the_root_nothing_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = [typed for typed, _ in WORDS]
    assert as_meant(words) == words


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("model.attention=pyramid", "model/attention=pyramid"),
        ("model.attention=none,channel", "model/attention=none,channel"),
        ("model.attention=pyramyd", "model.attention=pyramyd"),
        ("model.attention", "model.attention"),
        ("model.attention.levels=3", "model.attention.levels=3"),
        ("model.channels=8", "model.channels=8"),
        ("model=panet", "model=panet"),
        ("'input=\"a=b\"'", "'input=\"a=b\"'"),
    ],
)
def test_a_group_within_a_group_may_be_typed_with_a_dot(typed: str, meant: str) -> None:
    assert as_meant([typed]) == [meant]


def test_what_is_meant_is_accepted() -> None:
    register_resolvers(claim=False)
    check(Request("train", tuple(as_meant(["model.attention=none"]))), complete=False)
