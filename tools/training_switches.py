"""What each training switch costs and gives: time of an optimizer step, and memory at its peak.

``python -m tools.training_switches`` runs real tasks, built as by the command line, in
turn in one process, and writes experiments/benchmarks/<device>_<torch>/training-switches.csv and
.json. Lightning's own work, the same for all, is not in it; nor is the loader's.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig
from torch.optim.swa_utils import AveragedModel

from src.app.build import build_task
from src.app.measure import peak_bytes
from src.core.heap import given_back_at_once
from src.core.seeding import generator_for
from src.core.types import Clean
from src.training.callbacks.ema import Ema
from src.training.tasks.base import RestorationTask
from tests.support.compose import compose_config
from tools.measured import write_record

BASE = ("task=denoise", "model=panet_small", "data.batch_size=4", "data.patch_size=48")
SWITCHES: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "trainer.precision=bf16-mixed": ("trainer.precision=bf16-mixed",),
    "channels_last=true": ("channels_last=true",),
    "both of these": ("trainer.precision=bf16-mixed", "channels_last=true"),
    "compile=true": ("compile=true",),
    "recompute=true": ("recompute=true",),
    "trainer.accumulate_grad_batches=4": ("trainer.accumulate_grad_batches=4",),
    "trainer.gradient_clip_val=1.0": ("trainer.gradient_clip_val=1.0",),
    "callbacks=ema": ("callbacks=ema",),
    "patches of 24 px, 16 of them": ("data.patch_size=24", "data.batch_size=16"),
    "patches of 96 px, 1 of them": ("data.patch_size=96", "data.batch_size=1"),
}
WARMUP, RUNS = 2, 10


def step_of(cfg: DictConfig) -> Callable[[], None]:
    """Return a whole optimizer step under the settings of ``cfg``."""
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        task = build_task(cfg)
    task.train()
    task.log = lambda *_, **__: None  # type: ignore[method-assign]
    task._first_sample = lambda count: 0  # type: ignore[method-assign]
    optimizer = task.optimizer(task.net.parameters())
    side, batch = cfg.data.patch_size, cfg.data.batch_size
    target = torch.rand(batch, 3, side, side, generator=generator_for("cpu", "patches"))
    average = (
        AveragedModel(task, use_buffers=True, **Ema()._kwargs) if "ema" in cfg.callbacks else None
    )
    return partial(_step, cfg.trainer, task, optimizer, target, average)


def _step(
    settings: DictConfig,
    task: RestorationTask,
    optimizer: torch.optim.Optimizer,
    target: torch.Tensor,
    average: AveragedModel | None,
) -> None:
    optimizer.zero_grad()
    mixed = settings.precision == "bf16-mixed"
    for part in target.chunk(settings.accumulate_grad_batches):
        batch = Clean(target=part, key=["a"] * len(part))
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = task.training_step(batch, 0)
        (loss / settings.accumulate_grad_batches).backward()
    if settings.gradient_clip_val is not None:
        torch.nn.utils.clip_grad_norm_(task.net.parameters(), settings.gradient_clip_val)
    optimizer.step()
    if average is not None:
        average.update_parameters(task)


def measure() -> list[dict[str, Any]]:
    """Return one row a switch: time and memory, also as a share of what no switch takes."""
    steps = {name: step_of(compose_config(*BASE, *words)) for name, words in SWITCHES.items()}
    peaks, seconds = {}, {name: [] for name in steps}
    with given_back_at_once():
        for name, step in steps.items():
            for _ in range(WARMUP):
                step()
            peaks[name] = peak_bytes(step, torch.device("cpu"))
    for _ in range(RUNS):  # in turn, so that a slow spell of the machine strikes all
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    rows = []
    for name, values in seconds.items():
        shares = [value / none for value, none in zip(values, seconds["none"], strict=True)]
        rows.append(
            {
                "switch": name,
                "step_s": round(statistics.median(values), 3),
                "time": round(statistics.median(shares), 2),
                "peak_mib": round(peaks[name] / 2**20),
                "memory": round(peaks[name] / peaks["none"], 2),
            }
        )
    return rows


def main() -> None:
    """Measure, print a table, write the record."""
    write_record("training-switches", measure(), {"base": BASE, "warmup": WARMUP, "runs": RUNS})


if __name__ == "__main__":
    main()
