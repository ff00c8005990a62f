"""One training in two processes (gloo), held against the same training in one."""

import json
from pathlib import Path

import pytest
import yaml

from src.weights.checkpoint_file import read
from tests.support.compare import LAST, rows
from tests.support.runs import TINY, command, train_tiny

pytestmark = pytest.mark.ddp
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the run of ``trained``, done by two processes."""
    folder = tmp_path_factory.mktemp("pair") / "run"
    train_tiny(folder, "trainer=ddp_cpu")
    return folder


@pytest.mark.long
def test_two_processes_end_with_the_weights_of_one(trained: Path, pair: Path) -> None:
    alone, together = (read(folder / LAST)["state_dict"] for folder in (trained, pair))
    assert list(alone) == list(together)
    for name in alone:
        assert float((alone[name] - together[name]).abs().max()) <= TOLERANCE, name


@pytest.mark.long
def test_two_processes_log_the_losses_and_scores_of_one(trained: Path, pair: Path) -> None:
    alone, together = rows(trained), rows(pair)
    assert [row["step"] for row in alone] == [row["step"] for row in together]
    for one, other in zip(alone, together, strict=True):
        numbers = [key for key in one if one[key] and key not in {"epoch", "step"}]
        assert numbers
        assert [float(other[key]) for key in numbers] == pytest.approx(
            [float(one[key]) for key in numbers], abs=1e-5
        )


@pytest.mark.long
def test_two_processes_read_one_frozen_job_and_share_one_folder(pair: Path) -> None:
    left = [json.loads((pair / f"processes/rank_{rank}.json").read_text()) for rank in (0, 1)]
    assert len({outcome["digest"] for outcome in left}) == 1
    assert [outcome["status"] for outcome in left] == ["done", "done"]
    frozen = yaml.safe_load((pair / "processes/job.yaml").read_text())
    assert frozen["folder"] == str(pair)
    assert frozen["config"] == yaml.safe_load((pair / "config.yaml").read_text())
    assert [path.name for path in pair.parent.iterdir()] == ["run"]


@pytest.mark.long
def test_every_validated_image_is_scored_by_one_of_two(trained: Path, pair: Path) -> None:
    one, other = (sorted((run / "images/step_0000002").iterdir()) for run in (trained, pair))
    assert [path.name for path in one] == [path.name for path in other]


@pytest.mark.long
def test_a_batch_that_two_cannot_share_is_refused_with_the_next(tmp_path: Path) -> None:
    done = command(
        "train", *TINY, "trainer=ddp_cpu", "data.batch_size=3", f"hydra.run.dir={tmp_path / 'run'}"
    )
    assert done.code == 2
    assert "data.batch_size=3 cannot be shared evenly by 2 processes" in done.err
    assert "for example 4" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "run").exists()
