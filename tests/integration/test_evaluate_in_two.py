"""One process and two give the same scores, image by image."""

import json
from pathlib import Path

import pytest

from src.core.paths import ROOT
from tests.support.runs import command

pytestmark = [pytest.mark.ddp, pytest.mark.slow]
BENCHMARKS = ROOT.parent / "shared/data/benchmarks"
UPSCALED = ("task=super_resolution_y", "task.scale=2", "model=bicubic")
NOISY = ("task=denoise", "model=identity")


@pytest.mark.parametrize(
    ("words", "benchmark"), [(UPSCALED, None), (UPSCALED, "Set5"), (NOISY, "CBSD68")]
)
def test_two_processes_score_as_one_does(
    words: tuple[str, ...], benchmark: str | None, tmp_path: Path
) -> None:
    data: tuple[str, ...] = ("data=sample_photos",)
    if benchmark is not None:
        if not (BENCHMARKS / benchmark).is_dir():
            pytest.skip(f"{benchmark} is not beside the repository: {BENCHMARKS / benchmark}")
        data = ("data=folder", f"data.val_dir={BENCHMARKS / benchmark}")
    held = []
    for processes in (1, 2):
        output = tmp_path / str(processes)
        given = (f"processes={processes}", f"output={output}", "images=false", "device=cpu")
        done = command("evaluate", *words, *data, *given)
        assert done.code == 0, done.err
        held.append(json.loads((output / "results.json").read_text())["benchmarks"])
    one, two = held
    assert list(one) == list(two)
    for name, scores in one.items():
        assert scores["images"] == two[name]["images"]
        assert list(scores["restored"]) == list(two[name]["restored"])
        assert two[name]["mean"] == pytest.approx(scores["mean"], abs=1e-9)
