"""What goes wrong in the training itself, and two trainings in one folder."""

import signal
import subprocess
import sys

from src.core.paths import ROOT
from tests.support.runs import TINY, Finished, command
from tools.faults.scene import LONG, Fault, Scene, ended, goes_on

MEMORY_KIB = 5_000_000


def _overflow(scene: Scene) -> Finished:
    breaker = "{_target_: tools.breaking.OverflowAt, step: 3, layer: head}"
    place = f"hydra.run.dir={scene.run}"
    return command("train", *TINY, *LONG, place, f"+callbacks.breaker={breaker}")


def _without_breaker(scene: Scene) -> str:
    step = scene.saved()
    words = ("callbacks.breaker.step=100000", f"trainer.max_steps={step + 2}")
    done = command("train", f"resume={scene.run}", *words)
    assert done.code == 0, done.err
    return f"step {step} saved, before the overflow; `resume` goes on"


def _out_of_memory(scene: Scene) -> Finished:
    words = (
        *TINY,
        *LONG,
        f"hydra.run.dir={scene.run}",
        "data.batch_size=8192",
        "data.patch_size=64",
    )
    limited = f'ulimit -v {MEMORY_KIB}; exec "$@"'
    process = subprocess.Popen(
        ["bash", "-c", limited, "bash", sys.executable, "-m", "src.train", *words],  # noqa: S607
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return ended(process)


def _smaller(scene: Scene) -> str:
    step = scene.saved()
    words = ("data.batch_size=4", "data.patch_size=16", f"trainer.max_steps={step + 2}")
    done = command("train", f"resume={scene.run}", *words)
    assert done.code == 0, done.err
    return f"step {step} saved; `resume` with a smaller batch goes on"


def _two_at_once(scene: Scene) -> Finished:
    first = scene.start()
    scene.until_step(first, 3)
    before = scene.saved()
    second = ended(scene.resume("trainer.max_steps=5"))
    scene.until_step(first, before + 3)  # the first one is not disturbed
    first.send_signal(signal.SIGINT)
    assert ended(first).code == 130
    return second


def _time_up(scene: Scene) -> Finished:
    done = ended(scene.start("trainer.max_time=00:00:00:02"))
    return Finished(done.code, done.out, done.out + done.err)


TRAINING = [
    Fault(
        *("loss becomes NaN", "weights of a layer set to 1e38", _overflow, _without_breaker, 1),
        ("the loss or a gradient is NaN or infinite", "First at fault"),
        slow=False,
    ),
    Fault(
        *("out of memory", f"ulimit -v {MEMORY_KIB}, a batch of 8192", _out_of_memory, _smaller, 1),
        ("Out of memory", "Lower data.batch_size"),
    ),
    Fault(
        *("two trainings in one run folder", "resume= beside a running one", _two_at_once),
        *(goes_on, 1, ("is in use: process", "trains there")),
    ),
    Fault(
        *("time limit", "trainer.max_time of 2 s", _time_up, goes_on, 0),
        ("trainer.max_time gives is up", "everything is saved"),
    ),
]
