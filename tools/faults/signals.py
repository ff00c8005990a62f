"""Signals to a training in one process, its loader, and its group of processes."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.runs import Finished
from tools.faults.scene import PAIR, Fault, Scene, ended, goes_on
from tools.killing import ranks_of


@contextmanager
def _hangup(handler: signal.Handlers) -> Iterator[None]:
    """Let processes that are started in the block inherit how SIGHUP is handled."""
    held = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, held)


def _sent(signum: signal.Signals, *words: str) -> Callable[[Scene], Finished]:
    def act(scene: Scene) -> Finished:
        with _hangup(signal.SIG_DFL):
            process = scene.start(*words)
        scene.until_step(process, 3)
        process.send_signal(signum)
        return ended(process)

    return act


def _twice(scene: Scene) -> Finished:
    process = scene.start("callbacks.checkpoint_last.every_n_steps=1000", "data.batch_size=4096")
    scene.until_step(process, 0)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    # Two that come during one call of torch's are one to Python, so the first is to be answered.
    answered = any("Stopping after this step" in line for line in process.stdout or ())
    assert answered, "the first Ctrl-C was not answered"
    process.send_signal(signal.SIGINT)
    return ended(process)


def _nohup(scene: Scene) -> Finished:
    with _hangup(signal.SIG_IGN):  # as nohup does
        process = scene.start()
    scene.until_step(process, 3)
    process.send_signal(signal.SIGHUP)
    scene.until_step(process, scene.saved() + 3)
    process.send_signal(signal.SIGINT)
    return ended(process)


def _in_start(scene: Scene) -> Finished:
    process = scene.start()
    scene.until(process, (scene.run / "config.yaml").is_file)
    process.kill()
    return ended(process)


def _rank_killed(rank: int) -> Callable[[Scene], Finished]:
    def act(scene: Scene) -> Finished:
        process = scene.start(PAIR)
        scene.until_step(process, 3)
        os.kill(ranks_of(process.pid)[rank], signal.SIGKILL)
        return ended(process)

    return act


def _launcher_killed(scene: Scene) -> Finished:
    process = scene.start(PAIR)
    scene.until_step(process, 3)
    ranks = ranks_of(process.pid)
    process.kill()
    done = ended(process)
    end = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{rank}/exe") for rank in ranks):  # noqa: PTH110
        assert time.monotonic() < end, "a process lived on"
        time.sleep(0.05)
    return done


def _loader_killed(scene: Scene) -> Finished:
    process = scene.start(*scene.photos(), "data.workers=1", "trainer.val_check_interval=100000")
    scene.until_step(process, 3)
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(children) as file:  # noqa: PTH123
        os.kill(int(file.read().split()[0]), signal.SIGKILL)
    return ended(process)


SIGNALS = [
    Fault("Ctrl-C", "SIGINT", _sent(signal.SIGINT), goes_on, 130, ("everything is saved",)),
    Fault("Ctrl-C twice", "SIGINT, SIGINT", _twice, goes_on, 130, ("Interrupted at once",)),
    Fault(
        *("job cancelled", "SIGTERM", _sent(signal.SIGTERM), goes_on, 143),
        ("SIGTERM: saving after this step", "everything is saved"),
    ),
    Fault(
        *("job preempted", "SIGUSR1", _sent(signal.SIGUSR1), goes_on, 75),
        ("SIGUSR1: saving after this step", "everything is saved"),
    ),
    Fault(
        *("connection closed", "SIGHUP", _sent(signal.SIGHUP), goes_on, 129),
        ("SIGHUP: saving after this step", "everything is saved"),
    ),
    Fault(
        *("connection of two closed", "SIGHUP", _sent(signal.SIGHUP, PAIR), goes_on, 129),
        ("everything is saved",),
    ),
    Fault(
        *("connection closed under nohup", "SIGHUP, then SIGINT", _nohup, goes_on, 130),
        ("everything is saved",),
    ),
    Fault("kill", "SIGKILL", _sent(signal.SIGKILL), goes_on, -9),
    Fault("kill in the start", "SIGKILL when config.yaml is there", _in_start, goes_on, -9),
    Fault(
        *("loader process killed", "SIGKILL to the loader", _loader_killed, goes_on, 1),
        ("A loader process is gone", "data.workers"),
    ),
    Fault(
        *("process 0 of 2 killed", "SIGKILL to rank 0", _rank_killed(0), goes_on, 1),
        ("Process 0 of 2 was killed by SIGKILL",),
    ),
    Fault(
        *("process 1 of 2 killed", "SIGKILL to rank 1", _rank_killed(1), goes_on, 1),
        ("Process 1 of 2 was killed by SIGKILL",),
    ),
    Fault("starter of 2 killed", "SIGKILL to the launcher", _launcher_killed, goes_on, -9),
]
