"""Rows of the papers' tables that need no weights, through the command line's own objects."""

import json
from pathlib import Path

import pytest

from src.core.paths import ROOT
from src.runtime.evaluation import evaluate
from tests.support.compose import compose_config

BENCHMARKS = ROOT.parent / "shared/data/benchmarks"
pytestmark = pytest.mark.parity

ROWS = [
    ("Set5", 33.66, ("task=super_resolution_y", "task.scale=2", "model=bicubic")),
    ("Set5", 30.39, ("task=super_resolution_y", "task.scale=3", "model=bicubic")),
    ("Set5", 28.42, ("task=super_resolution_y", "task.scale=4", "model=bicubic")),
    ("Classic5", 27.82, ("task=dejpeg", "degradation.quality=[10,10]", "model=identity")),
    ("Classic5", 30.12, ("task=dejpeg", "degradation.quality=[20,20]", "model=identity")),
    ("Classic5", 31.48, ("task=dejpeg", "degradation.quality=[30,30]", "model=identity")),
    ("Classic5", 32.43, ("task=dejpeg", "degradation.quality=[40,40]", "model=identity")),
    ("McM18", 9.17, ("task=demosaic", "model=identity")),
    ("CBSD68", 8.43, ("task=demosaic", "model=identity")),
    # as networks get it, from 8-bit colour: our own measurement, which the papers do not print
    ("Set5", 33.68, ("task=super_resolution", "task.scale=2", "model=bicubic")),
    # `bridge` is a one-channel file and is scored as it is
    ("Set14", 30.24, ("task=super_resolution_y", "task.scale=2", "model=bicubic")),
]


@pytest.mark.parametrize(
    ("benchmark", "published", "words"),
    [pytest.param(*row, id=f"{row[0]}-{row[1]}") for row in ROWS],
)
def test_a_row_without_weights_is_reproduced(
    benchmark: str, published: float, words: tuple[str, ...], tmp_path: Path
) -> None:
    if not (BENCHMARKS / benchmark).is_dir():
        pytest.skip(f"the images of {benchmark} lie beside the checkout, not in it")
    cfg = compose_config(
        *words,
        "metrics=distortion",
        "~metrics.ssim",  # two thirds of the time
        "data=folder",
        f"data.val_dir={BENCHMARKS / benchmark}",
        f"data.cache_dir={tmp_path / 'cache'}",
        f"output={tmp_path / 'scores'}",
        "images=false",
        "device=cpu",
        config_name="evaluate",
    )
    score = evaluate(cfg)
    assert score == pytest.approx(published, abs=0.01)
    results = json.loads((tmp_path / "scores/results.json").read_text())
    assert results["benchmarks"][benchmark]["mean"]["psnr"] == score
