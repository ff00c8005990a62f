"""Another attention block in a trained network: what it scores, and what is refused."""

import json
from pathlib import Path

import pytest

from tests.support.images import write_folder
from tests.support.runs import command


def scores(trained: Path, photos: Path, output: Path, *words: str) -> dict[str, float]:
    done = command(
        "evaluate",
        f"checkpoint={trained}",
        f"sets={photos}",
        "images=false",
        f"output={output}",
        *words,
    )
    assert done.code == 0, done.err
    means: dict[str, float] = json.loads((output / "results.json").read_text())["benchmarks"][
        photos.name
    ]["mean"]
    return means


@pytest.mark.long
def test_local_attention_takes_the_weights_and_scores_alike_within_its_window(
    trained: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    write_folder(photos, 2)
    asked = scores(trained, photos, tmp_path / "as_trained")
    local = scores(trained, photos, tmp_path / "local", "attention=pyramid_local")
    assert local == pytest.approx(asked, abs=1e-4)
    record = json.loads((tmp_path / "local/results.json").read_text())
    assert "LocalPyramidAttention" in json.dumps(record["model"])


@pytest.mark.long
def test_predict_takes_it_too(trained: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", 1)
    words = (f"checkpoint={trained}", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}")
    done = command("predict", *words, "attention=pyramid_local")
    assert done.code == 0, done.err


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("attention=pyramid_locl",), "Did you mean pyramid_local"),
        (("attention=window",), "does not fit the network"),
    ],
)
def test_a_block_that_is_not_there_or_has_other_weights_is_refused(
    trained: Path, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    write_folder(tmp_path / "photos", 1)
    done = command("evaluate", f"checkpoint={trained}", f"sets={tmp_path / 'photos'}", *words)
    assert done.code != 0
    assert says in done.err


def test_without_a_checkpoint_there_is_nothing_to_replace() -> None:
    done = command("evaluate", "task=denoise", "model=identity", "attention=pyramid_local")
    assert done.code != 0
    assert "needs checkpoint=" in done.err
