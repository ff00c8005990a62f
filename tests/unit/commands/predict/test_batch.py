"""What `src.predict` plans to write, and what it must never write over."""

import re
from pathlib import Path

import pytest
from PIL import Image

from src.commands.predict.batch import plan
from src.core.errors import DataError
from tests.support.images import pixels


def _photograph(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels()).save(path)
    return path


@pytest.mark.parametrize("existing", [None, "skip", "overwrite", "refuse"])
@pytest.mark.parametrize("output", ["new/../a.png", "new/..", "new/deep/../../a.png"])
def test_no_way_round_a_folder_that_is_not_there_leads_to_the_input(
    tmp_path: Path, output: str, existing: str | None
) -> None:
    """The folder is made before the result is written: only then the name is the input's."""
    source = _photograph(tmp_path / "a.png")
    with pytest.raises(DataError, match="would replace its own input"):
        plan([str(source)], tmp_path / output, existing)


def test_a_result_that_is_there_is_found_by_a_way_round_a_missing_folder(tmp_path: Path) -> None:
    source, _ = _photograph(tmp_path / "a.png"), _photograph(tmp_path / "b.png")
    with pytest.raises(DataError, match=re.escape("b.png exists already")):
        plan([str(source)], tmp_path / "new/../b.png", None)


def test_overwriting_results_does_not_overwrite_another_input(tmp_path: Path) -> None:
    """Two files with each other's ending: the result of one has the name of the other."""
    photograph = Image.fromarray(pixels())
    photograph.save(tmp_path / "x.jpg", format="PNG")
    photograph.save(tmp_path / "x.png", format="JPEG")
    with pytest.raises(DataError, match="would replace another input"):
        plan([str(tmp_path)], tmp_path, "overwrite")
    former = _photograph(tmp_path / "results/x.png")
    jobs = plan([str(tmp_path / "x.jpg")], former.parent, "overwrite").jobs
    assert [*jobs.values()] == [former]  # a result of an earlier start may be replaced


@pytest.mark.parametrize("name", ["a" * 300, "loop/x"], ids=["too long", "loop"])
def test_names_that_the_system_refuses_are_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    source = _photograph(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match="cannot be written"):
        plan([str(source)], tmp_path / name, None)
    with pytest.raises(DataError, match=r"cannot be opened|no such file"):
        plan([str(tmp_path / name)], tmp_path / "out", None)
