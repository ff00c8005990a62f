"""The reference test vectors and the rule that fills networks with numbers for them."""

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from src.core.paths import ROOT

REFERENCE = ROOT.parent / "shared" / "reference"
needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the reference vectors lie beside the checkout, not in it"
)


def uniform(count: int, k: int) -> np.ndarray:
    """Return u(count, k): numbers in [-1, 1) that any language can make again."""
    index = np.arange(count, dtype=np.float64)
    t = 43758.5453 * np.sin(12.9898 * (index + 1) + 78.233 * (k + 1))
    return 2 * (t - np.floor(t)) - 1


def parameter(shape: tuple[int, ...], k: int, amplitude: float) -> Tensor:
    """Return the k-th parameter of a case."""
    count = math.prod(shape)
    if count == 1:
        values = np.full(1, 0.25)
    elif len(shape) == 1:
        values = 0.05 * uniform(count, k)
    else:
        values = amplitude * math.sqrt(3 / math.prod(shape[1:])) * uniform(count, k)
    return torch.tensor(values, dtype=torch.float32).reshape(shape)


@cache
def cases() -> Mapping[str, Mapping[str, Any]]:
    """Return the cases by name."""
    content: Mapping[str, Any] = json.loads((REFERENCE / "golden.json").read_text())
    return content["cases"]


def case_input(name: str) -> Tensor:
    """Return the input of a case; images are moved to [0, 1]."""
    shape = cases()[name]["in_shape"]
    values = uniform(math.prod(shape), 1000).reshape(shape)
    if shape[1] in {1, 3}:
        values = (values + 1) / 2
    return torch.tensor(values, dtype=torch.float32)


def expected(name: str) -> Tensor:
    """Return the reference's output of a case."""
    return torch.tensor(np.load(REFERENCE / "golden_outputs.npz")[name])


def reference_keys(name: str) -> dict[str, Any]:
    """Return the key list ``keys_<name>.json``."""
    content: dict[str, Any] = json.loads(Path(REFERENCE / f"keys_{name}.json").read_text())
    return content
