"""What a refused command line offers instead."""

from pathlib import Path

import pytest

from src.app.config.check import Request, composed
from src.core.errors import ConfigError


def test_a_run_that_is_not_there_is_met_with_those_that_can_go_on(tmp_path: Path) -> None:
    begun = tmp_path / "denoise/panet/2026-11-28_07-54-47"
    empty = tmp_path / "denoise/panet/2026-11-28_07-56-11"
    for folder in (begun, empty):
        folder.mkdir(parents=True)
    (begun / "config.yaml").touch()
    words = (f"resume={tmp_path / 'nonesuch'}", f"paths.output_root={tmp_path}")
    with pytest.raises(ConfigError) as refused, composed(Request("train", words)):
        pass
    assert f"resume={begun}" in str(refused.value)
    assert str(empty) not in str(refused.value)
