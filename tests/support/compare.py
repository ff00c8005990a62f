"""Compares two run folders: tensors bit by bit, rows of metrics.csv but for the clock's."""

import csv
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from src.weights.checkpoint_file import read

COMPARED = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "loops")
AVERAGED = ("current_model_state", "averaging_state")  # with callbacks=ema
LAST = "checkpoints/last.ckpt"
PREVIOUS = "checkpoints/previous.ckpt"


def assert_same(first: Path, second: Path) -> None:
    """Refuse two runs whose last checkpoints differ in weights, optimizer, schedule or progress."""
    one, other = read(first / LAST), read(second / LAST)
    for name in (*COMPARED, *(name for name in AVERAGED if name in one)):
        _assert_equal(one[name], other[name], name)


def rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv without the columns that measure time."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [
            {key: value for key, value in row.items() if not key.startswith("perf/")}
            for row in csv.DictReader(file)
        ]


def _assert_equal(one: object, other: object, path: str) -> None:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        assert list(one) == list(other), path
        for key in one:
            _assert_equal(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other), path
        for index, pair in enumerate(zip(one, other, strict=True)):
            _assert_equal(*pair, f"{path}[{index}]")
    elif isinstance(one, Tensor) and isinstance(other, Tensor):
        assert one.dtype == other.dtype, path
        assert torch.equal(one, other), path
    else:
        assert one == other, path
