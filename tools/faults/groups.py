"""Processes placed wrongly, out of reach, or with other settings; devices that are not there."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing

from src.app.processes.group import free_port
from src.app.processes.job import PASSWORDS, parse
from src.core.paths import ROOT
from tests.support.runs import TINY, Finished
from tools.faults.scene import PAIR, Fault, Scene, ended, goes_on, nothing_left

IMPATIENT = """
import sys
from datetime import timedelta
from src import train
from src.commands.cli import launch
launch.PATIENCE = timedelta(seconds=5)
sys.argv[0] = "src/train.py"
train.main()
"""


def _placed(rank: str, world: str = "2", *, local: str = "2", port: int = 1) -> dict[str, str]:
    """Return the variables that torchrun sets."""
    return {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "GROUP_RANK": "0",
        "WORLD_SIZE": world,
        "LOCAL_WORLD_SIZE": local,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "none",
    }


def _started(*words: str, env: Mapping[str, str] | None = None) -> Callable[[Scene], Finished]:
    return lambda scene: ended(scene.start(*words, env=env))


def _port_in_use(scene: Scene) -> Finished:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        return ended(scene.start("trainer=cpu", env=_placed("0", port=port)))


def _nobody_there(scene: Scene) -> Finished:
    process = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, *TINY, f"hydra.run.dir={scene.run}"],
        cwd=ROOT,
        env=_with_environment(_placed("1", port=free_port())),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return ended(process)


def _with_environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def different_jobs(scene: Scene) -> Finished:
    """Start two processes whose frozen jobs differ in the learning rate, past our own starter."""
    scene.trained(PAIR, steps=1)
    frozen = (scene.run / "processes/job.yaml").read_text()
    other = scene.here / "other"
    port, ranks = free_port(), []
    for rank, rate in enumerate(("0.0001", "0.9")):
        job = scene.here / f"job_{rank}.yaml"
        text = frozen.replace(str(scene.run), str(other)).replace("lr: 0.0001", f"lr: {rate}")
        job.write_text(text)
        parse(text).place.mkdir(parents=True, exist_ok=True)
        more = {**_placed(str(rank), port=port), "PYTHONPATH": str(ROOT), PASSWORDS: "{}"}
        placed = _with_environment(more)
        ranks.append(
            subprocess.Popen(
                [sys.executable, "-m", "src.app.processes.rank", str(job)],
                env=placed,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
    codes = [rank.wait(timeout=120) for rank in ranks]
    for rank in ranks:
        assert rank.stdin is not None
        rank.stdin.close()  # not before: a rank ends with its standard input
    left = [json.loads((other / f"processes/rank_{rank}.json").read_text()) for rank in (0, 1)]
    assert codes[0] == codes[1]
    assert not (other / "checkpoints").exists()
    return Finished(codes[0], "", "error: " + left[0]["message"])


def _sharing(*words: str) -> tuple[str, ...]:
    return (PAIR, *words)


GROUPS = [
    Fault(
        *("batch that three cannot share", "trainer.devices=3, a batch of 4"),
        _started(*_sharing("trainer.devices=3")),
        *(nothing_left, 2, ("data.batch_size",)),
    ),
    Fault(
        *("rank outside the group", "RANK=5 WORLD_SIZE=2"),
        _started("trainer=cpu", env=_placed("5")),
        *(nothing_left, 2, ("places this process where none can be", "RANK=5")),
    ),
    Fault(
        *("rank that is no number", "RANK=one WORLD_SIZE=2"),
        _started("trainer=cpu", env=_placed("one")),
        *(nothing_left, 2, ("places this process where none can be", "RANK=one")),
    ),
    Fault(
        *("machines of different size", "WORLD_SIZE=3 LOCAL_WORLD_SIZE=2"),
        _started("trainer=cpu", env=_placed("0", "3")),
        *(nothing_left, 2, ("places this process where none can be", "LOCAL_WORLD_SIZE=2")),
    ),
    Fault(
        *("port of the group in use", "a server listens on MASTER_PORT", _port_in_use),
        *(nothing_left, 1, ("is in use", "MASTER_PORT")),
    ),
    Fault(
        *("first process unreachable", "nobody at MASTER_PORT; patience 5 s", _nobody_there),
        *(nothing_left, 1, ("had no word from the first one",)),
    ),
    Fault(
        *("processes with different settings", "another learning rate", different_jobs),
        *(goes_on, 2, ("do not have the same configuration", "Nothing was trained")),
    ),
    Fault(
        *("no GPU", "trainer=gpu", _started("trainer=gpu")),
        *(nothing_left, 2, ("CUDA sees 0 here", "trainer=cpu")),
    ),
    Fault(
        *("more GPUs than there are", "trainer=ddp trainer.devices=4"),
        _started("trainer=ddp", "trainer.devices=4"),
        *(nothing_left, 2, ("CUDA sees 0 here",)),
    ),
]
