"""What ``hydra/launcher=slurm`` asks SLURM for, in submitit's own words."""

from pathlib import Path

import pytest
import yaml

from src.core.paths import CONF_DIR
from tools.requeue import SLURM

GENERAL = {"timeout_min", "nodes", "tasks_per_node", "gpus_per_node", "cpus_per_task", "mem_gb"}


def test_a_job_is_warned_two_minutes_before_its_end_and_may_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitit = pytest.importorskip("submitit", reason="the extra 'sweep' is not installed")
    monkeypatch.setenv("PATH", str(SLURM), prepend=":")  # submitit looks for srun
    settings = yaml.safe_load((CONF_DIR / "hydra/launcher/slurm.yaml").read_text())
    del settings["defaults"]
    times = settings.pop("max_num_timeout")
    executor = submitit.AutoExecutor(tmp_path, cluster="slurm", slurm_max_num_timeout=times)
    executor.update_parameters(
        **{name if name in GENERAL else f"slurm_{name}": it for name, it in settings.items()}
    )
    script = executor._executor._make_submission_file_text("python -m job", "id")
    asked = {line.split()[1] for line in script.splitlines() if line.startswith("#SBATCH")}
    assert {"--signal=USR2@120", "--requeue", "--open-mode=append", "--time=1440"} <= asked
    assert "--ntasks-per-node=1" in asked
    assert times >= 1  # else the first time-out would be the end
