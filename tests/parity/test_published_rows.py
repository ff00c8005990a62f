"""Rows of the papers' tables that need no weights, through the self-check that users run."""

from pathlib import Path

import pytest

from src.commands.evaluate.command import evaluate
from src.commands.evaluate.selfcheck import read_rows
from src.core.paths import ROOT
from tests.support.compose import compose_config

BENCHMARKS = ROOT.parent / "shared/data/benchmarks"
pytestmark = pytest.mark.parity

SETS = [
    pytest.param("Set5", marks=pytest.mark.slow),
    "Classic5",
    pytest.param("McM18", marks=pytest.mark.slow),
    pytest.param("Set14", marks=pytest.mark.slow),
    pytest.param("CBSD68", marks=pytest.mark.slow),
    pytest.param("BSD100", marks=pytest.mark.slow),
]


@pytest.mark.long
@pytest.mark.parametrize("benchmark", SETS)
def test_the_rows_of_a_set_are_reproduced(benchmark: str, tmp_path: Path) -> None:
    folder = BENCHMARKS / benchmark
    if not folder.is_dir():
        pytest.skip(f"the images of {benchmark} lie beside the checkout, not in it")
    cfg = compose_config(
        "selfcheck=true",
        f"sets={folder}",
        f"paths.cache_dir={tmp_path / 'cache'}",
        "device=cpu",
        config_name="evaluate",
    )
    rows = [row for row in read_rows() if benchmark.lower() in row.folders and row.slow is None]
    assert evaluate(cfg) == sum(len(row.published) for row in rows) > 0
