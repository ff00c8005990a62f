"""A checkpoint from anywhere is only read: nothing that it names is called."""

from pathlib import Path

import pytest
import torch

from src.weights.atomic_io import read
from src.weights.names import BEST, KEY
from tests.support.runs import command


@pytest.mark.parametrize("node", ["model", "loss", "data"])
@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_a_checkpoint_that_names_a_program_is_refused_and_nothing_runs(
    name: str, node: str, run: Path, tmp_path: Path
) -> None:
    path, mark = run / "checkpoints" / BEST, tmp_path / "ran"
    content = read(path)
    content[KEY]["config"][node] = {"_target_": "os.system", "command": f"touch {mark}"}
    torch.save(content, path)
    words = {
        "evaluate": (f"checkpoint={path}", f"output={tmp_path / 'out'}"),
        "predict": (f"checkpoint={path}", f"input={run}/images", f"output={tmp_path / 'out'}"),
    }
    done = command(name, *words[name])
    assert done.code == 1
    assert "refused, because its configuration would call 'os.system'" in done.err
    assert not mark.exists()
