"""A training step on a random batch, as a call that can be timed and weighed."""

from collections.abc import Callable
from typing import Any

import torch
from lightning.fabric import Fabric
from omegaconf import DictConfig

from src.app.build import build_data, build_task, undegraded_pairs
from src.app.processes.place import check_devices
from src.core.seeding import generator_for
from src.core.types import Clean, Pair
from src.optim.groups import freeze


def _parts(cfg: DictConfig) -> int:
    """Return into how many parts a batch is divided, one after the other."""
    return int(cfg.trainer.get("accumulate_grad_batches", 1))


def _random_batch(cfg: DictConfig, device: torch.device) -> Clean | Pair:
    """Return images of noise, as many and as large as go through the network at once."""
    shape = (
        cfg.data.batch_size // _parts(cfg),
        cfg.io.out_channels,
        cfg.data.patch_size,
        cfg.data.patch_size,
    )
    images = torch.rand(shape, generator=generator_for("cpu", "cost")).to(device)
    keys = [f"random {number}" for number in range(len(images))]
    if cfg.data.get("target_dir") is not None:  # the degradation of pairs leaves the size as it is
        scale = int(cfg.io.scale)
        return Pair(input=images[..., ::scale, ::scale], target=images, key=keys)
    return Clean(target=images, key=keys)


def training_step(cfg: DictConfig) -> tuple[torch.device, Callable[[], object]]:
    """Return the device and a training step of ``cfg`` on a random batch.

    Raises:
        ExemplarError: If it cannot be trained like that, or there is no such device.
    """
    check_devices(cfg.trainer)
    precision = cfg.trainer.get("precision")
    fabric = Fabric(accelerator=cfg.trainer.accelerator, devices=1, precision=precision)
    data = build_data(cfg)  # refuses what is no batch
    task = build_task(undegraded_pairs(cfg)).to(fabric.device)
    data.stages.check_shares(world=1, accumulated=_parts(cfg))
    task.check_sizes(data.patch_sizes)
    pair = task.without_margin(task.eval().degrade(_random_batch(cfg, fabric.device)))
    degraded = task.net_input(pair).contiguous(memory_format=task.memory_format)
    task.train()
    if cfg.get("freeze"):
        freeze(task.net, list(cfg.freeze))
    learn = getattr(task.loss, "after_backward", None)
    made: Any = task.configure_optimizers()
    network, optimizer = fabric.setup(task.net, made["optimizer"])
    if task.compiled is not None:  # what ``network`` does by itself
        degraded = degraded.to(next(task.net.parameters()).dtype)

    def step() -> None:
        optimizer.zero_grad()
        for _ in range(_parts(cfg)):
            if task.compiled is None:
                restored = network(degraded)
            else:
                with fabric.autocast():
                    restored = task.compiled(degraded)
            fabric.backward(task.loss(restored.float(), pair["target"]) / _parts(cfg))
        if learn is not None:
            learn()
        optimizer.step()

    return fabric.device, step
