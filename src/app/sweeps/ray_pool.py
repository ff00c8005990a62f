"""Jobs of a sweep on a pool of machines that Ray manages, which may grow and shrink meanwhile."""

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from src.app.sweeps.sweep import RESTARTED
from src.core.errors import ConfigError
from src.core.paths import PACKAGE, ROOT

STORE_BYTES = 2**27
"""Of shared memory for a Ray of our own: a job hands over a configuration and a score, no more."""


@dataclass(frozen=True)
class Work:
    """What Hydra's launchers get to run a job, sent to the machine that runs it."""

    config: DictConfig  # of the whole sweep
    hydra_context: HydraContext  # loads the configuration of one job
    task_function: TaskFunction  # runs it

    def run(self, number: int, overrides: list[str], state: dict[Any, Any]) -> JobReturn:
        """Run one job in this process; a job that has been begun before goes on."""
        setup_globals()
        Singleton.set_state(state)
        job = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(job):
            job.hydra.job.id, job.hydra.job.num = f"{job.hydra.job.name}_{number}", number
        with _begun(Path(str(self.config.hydra.sweep.dir)) / ".ray" / str(number)):
            return run_job(
                hydra_context=self.hydra_context,
                config=job,
                task_function=self.task_function,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )


@contextmanager
def _begun(mark: Path) -> Iterator[None]:
    """Say to the job whether it was begun before, perhaps on a machine that is gone now."""
    if mark.exists():
        os.environ[RESTARTED] = "1"
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        yield
    finally:
        os.environ.pop(RESTARTED, None)  # Ray gives the process another job


@dataclass(frozen=True)
class Pool:
    """The machines."""

    # ``auto``, ``ray://machine:10001`` or ``machine:6379``; None starts a Ray on this machine,
    # which ends with the sweep.
    address: str | None = None
    cpus: float = 1  # cores of a job
    gpus: float = 0  # GPUs of a job: as many as ``trainer.devices``
    retries: int = 3  # times that a job is started again, going on, when its machine is lost

    def run(self, work: Work, jobs: Sequence[tuple[int, list[str]]]) -> list[JobReturn]:
        """Run all jobs, side by side where there is room; return what came of each.

        Raises:
            ConfigError: If the pool cannot be reached, or can never have room for a job.
        """
        with self._connected():
            self._check_room()
            run = ray.remote(Work.run).options(
                num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries
            )
            held, state = ray.put(work), ray.put(Singleton.get_state())
            running = [run.remote(held, number, words, state) for number, words in jobs]
            try:
                return [
                    _result(handle, number, words)
                    for handle, (number, words) in zip(running, jobs, strict=True)
                ]
            except KeyboardInterrupt:
                for handle in running:
                    ray.cancel(handle)
                raise

    @contextmanager
    def _connected(self) -> Iterator[None]:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's makers
        own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE_BYTES}
        try:
            ray.init(
                address=self.address,
                ignore_reinit_error=True,
                runtime_env={
                    "env_vars": {"PYTHONPATH": str(PACKAGE.parent), "EXEMPLAR_ROOT": str(ROOT)}
                },
                **({} if self.address else own),
            )
        except ConnectionError as error:
            raise ConfigError(
                f"hydra.launcher.address={self.address}: no Ray answers there ({error}). Start it "
                "(ray start --head), or leave the address out for a Ray on this machine."
            ) from error
        try:
            yield
        finally:
            ray.shutdown()

    def _check_room(self) -> None:
        there = ray.cluster_resources()
        for name, asked in (("CPU", self.cpus), ("GPU", self.gpus)):
            if asked > there.get(name, 0) and self.address is None:  # a pool may grow
                raise ConfigError(
                    f"hydra.launcher.{name.lower()}s={asked}: this machine has "
                    f"{there.get(name, 0):.0f} {name}s, so that no job would ever start."
                )


def _result(handle: Any, number: int, overrides: list[str]) -> JobReturn:  # noqa: ANN401
    """Wait for one job; one that is lost for good is worth NaN, and the others go on."""
    try:
        result: JobReturn = ray.get(handle)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        print(f"job {number} ({' '.join(overrides)}) is lost: {reason}", file=sys.stderr)
        result = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
        result.return_value = math.nan
    return result
