"""Benchmark: the forms of attention, one block, network or training step at a time, in turn."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from src.app.build import plain
from src.app.inference import pick_device
from src.commands.benchmark import cases
from src.commands.benchmark.forms import bytes_of_scores, chosen_forms
from src.commands.benchmark.plot import write_plot
from src.commands.benchmark.record import Cost, growth_of, table_of, write_csv
from src.core.console import make_console
from src.core.errors import ConfigError, DataError, did_you_mean
from src.core.files import write_json
from src.core.memory import free_bytes
from src.core.origin import hardware, origin
from src.core.paths import from_root
from src.ops.attention.native import available

PASSES = {"attention": ("forward", "training"), "model": ("forward",), "training": ("training",)}
_FOLDERS = ("paths", "output")


def benchmark(cfg: DictConfig) -> float:
    """Measure what ``cfg`` asks for, print a table and write the record.

    Returns:
        The median of the last form at the last size, in seconds, for sweeps.

    Raises:
        ConfigError: If there is no such thing to measure.
        DataError: If the record cannot be written, or nothing would fit.
    """
    _check(cfg)
    device = pick_device(cfg.device)
    console = make_console()
    with _threads(cfg.threads):
        about = _about(cfg, device)
        for name in ("date", "commit", "device", "torch", "threads", "precision"):
            console.print(f"{name:<10} {about[name]}")
        rows = _measure(cfg, device, console)
    if not rows:
        raise DataError(
            "Nothing was measured: the lines above say why; take other forms, or smaller sizes=[…]."
        )
    console.print(table_of(rows, f"{cfg.what}, {cfg.precision}"))
    about["growth"] = growth_of(rows)
    for form, powers in about["growth"].items():
        words = (f"{what} pixels^{power:.2f}" for what, power in powers.items())
        console.print(f"Growth  {form}: {', '.join(words)}")
    _write(cfg, rows, about, console)
    return rows[-1].median


def _check(cfg: DictConfig) -> None:
    if cfg.what not in PASSES:
        raise ConfigError(f"what={cfg.what}: {did_you_mean(str(cfg.what), PASSES)}")
    if cfg.precision not in cases.PRECISIONS:
        raise ConfigError(
            f"precision={cfg.precision}: {did_you_mean(cfg.precision, cases.PRECISIONS)}"
        )
    chosen_forms(cfg)
    for kind in cfg.passes:
        if kind not in PASSES["attention"]:
            raise ConfigError(f"passes: {kind}: {did_you_mean(kind, PASSES['attention'])}")
    _check_numbers(cfg)


def _check_numbers(cfg: DictConfig) -> None:
    numbers = {"runs": cfg.runs, "batch": cfg.batch, "channels": cfg.channels}
    for name, number in numbers.items():
        if not isinstance(number, int) or number < 1:
            raise ConfigError(f"{name}={number} must be a whole number from 1.")
    if cfg.threads is not None and not (isinstance(cfg.threads, int) and cfg.threads >= 1):
        raise ConfigError(f"threads={cfg.threads} must be a whole number from 1, or null.")
    if not cfg.sizes:
        raise ConfigError("sizes=[] leaves nothing to measure; for example sizes=[48,64,96].")
    for index, size in enumerate(cfg.sizes):
        cases.input_size(size, _scale(cfg), f"sizes[{index}]")


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _measure(cfg: DictConfig, device: torch.device, console: Console) -> list[Cost]:
    """Weigh all cases, then time them: see ``weigh``."""
    planned = list(_planned(cfg, device, console))
    weights = [cases.weigh_case(cfg, case, device) for case in planned]
    costs: list[Cost] = []
    for case, weight in zip(planned, weights, strict=True):
        costs.extend(cases.costs_of(cfg, case, weight, device))
    return costs


def _planned(cfg: DictConfig, device: torch.device, console: Console) -> Iterator[cases.Case]:
    for kind in cfg.passes if cfg.what == "attention" else PASSES[cfg.what]:
        for size in cfg.sizes:
            height, width = cases.input_size(size, _scale(cfg))
            forms = _that_fit(cfg, kind, math.isqrt(height * width), device, console)
            if forms:
                yield cases.Case(kind, height, width, tuple(forms))


def _scale(cfg: DictConfig) -> int:
    return 1 if cfg.what == "attention" else int(cfg.model.get("scale", 1))


def _that_fit(
    cfg: DictConfig, kind: str, side: int, device: torch.device, console: Console
) -> list[str]:
    """Return the forms whose scores fit into memory, and say which do not."""
    fitting = []
    free = free_bytes(device)
    for form in chosen_forms(cfg):
        needed = bytes_of_scores(form, kind, cfg.batch, side)
        if form == "native" and not available(torch.empty(0, device=device)):
            console.print("native left out: there is no kernel for this device, or no C++ compiler")
        elif needed > 0.8 * free:
            console.print(
                f"{form} left out at {side}², {kind}: needs about {needed / 2**30:.1f} GiB, "
                f"{free / 2**30:.1f} GiB are free"
            )
        else:
            fitting.append(form)
    return fitting


def _about(cfg: DictConfig, device: torch.device) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    machine = hardware()
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        **origin(),
        "device": gpu or str(machine["processor"]),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "precision": cfg.precision,
        "hardware": machine,
        # without the folders: a record names no machine's paths
        "config": {key: value for key, value in plain(cfg).items() if key not in _FOLDERS},
    }


def _record_name(cfg: DictConfig) -> str:
    """Return the name of the record's files; each job of a sweep has files of its own."""
    name = str(cfg.name or cfg.what)
    settings = HydraConfig.get() if HydraConfig.initialized() else None
    if settings is None or OmegaConf.is_missing(settings.job, "num"):
        return name
    return f"{name}_{settings.job.num}_{settings.runtime.choices['model']}"


def _write(cfg: DictConfig, rows: Sequence[Cost], about: dict[str, Any], console: Console) -> None:
    words = "".join(c if c.isalnum() else " " for c in about["device"].lower()).split()
    folder = from_root(cfg.output) / f"{'-'.join(words)}_{torch.__version__.partition('+')[0]}"
    name = _record_name(cfg)
    title = f"{name}: {about['device']}, torch {about['torch']}, {about['threads']} threads"
    has_plots = find_spec("matplotlib") is not None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(folder / f"{name}.csv", rows)
        write_json(folder / f"{name}.json", about)
        if has_plots:
            write_plot(folder / f"{name}.svg", rows, f"{title}, {cfg.precision}")
    except OSError as error:
        raise DataError(
            f"The record cannot be written to {folder}: {error.strerror}. Set output=<folder>."
        ) from error
    console.print(f"Written  {folder}/{name}.csv, .json{', .svg' if has_plots else ''}")
    if not has_plots:
        console.print("No plot: matplotlib is not installed; pip install 'exemplar[plot]'")
