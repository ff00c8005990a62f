"""What Lightning and torchmetrics import and few commands use is imported at its first use."""

import importlib
import inspect
import subprocess
import sys

import pytest
import torch

from src.app.processes import later
from src.core.paths import ROOT

BEGIN = """
import sys
from src.app.processes.later import import_later
import_later()
def there(*names):
    return [name for name in names if name in sys.modules]
"""


def run(script: str) -> list[str]:
    """Return what a new process prints, line by line."""
    command = [sys.executable, "-c", BEGIN + script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.long
def test_a_step_of_training_imports_none_of_them_and_a_look_at_all_modules_neither() -> None:
    script = """
import inspect, torch, lightning, torchmetrics
from torch._subclasses.fake_tensor import FakeTensorMode
import src.commands.train.command
weight = torch.nn.Parameter(torch.ones(1))
weight.sum().backward()
torch.optim.Adam([weight]).step()
with FakeTensorMode():
    torch.ones(2) + 1
inspect.getmodule(lambda: 0)
print(there("torch._dynamo.utils", "scipy.stats", "matplotlib.figure"))
"""
    assert run(script) == ["[]"]


@pytest.mark.long
def test_first_use_gives_the_module_itself_once_however_it_is_asked_for() -> None:
    script = """
import torch
import torch._dynamo.config as config  # alone
print(there("torch._dynamo.utils"))
from torch._dynamo.utils import counters
import torch._dynamo.utils as utils
print(utils.counters is counters)
print(torch._dynamo.utils is utils is sys.modules["torch._dynamo.utils"])
print(torch._dynamo.config is config, utils.__spec__.loader.name)
print(torch._dynamo.graph_break.__module__)
import scipy.signal.windows
print(scipy.signal.convolve.__module__, hasattr(scipy.signal.windows, "hann"))
import matplotlib
from matplotlib.figure import Figure
import matplotlib.pyplot as plt
print(matplotlib.__version__[0].isdigit(), plt.Figure is Figure)
"""
    assert run(script) == [
        "[]",
        "True",
        "True",
        "True torch._dynamo.utils",
        "torch._dynamo.decorators",
        "scipy.signal._signaltools True",
        "True True",
    ]


@pytest.mark.long
def test_lightning_tells_a_compiled_network_from_others() -> None:
    script = """
import torch
from lightning.fabric.wrappers import OptimizedModule, _unwrap_compiled
net = torch.nn.Linear(2, 2)
print(isinstance(net, OptimizedModule))
compiled = torch.compile(net, backend="eager")
compiled(torch.ones(1, 2))
print(isinstance(compiled, OptimizedModule), _unwrap_compiled(compiled)[0] is net)
"""
    assert run(script) == ["False", "True True"]


def test_what_stands_for_a_name_can_be_called_as_it_is() -> None:
    """A release of torch that asks more of them fails here, not in a training."""
    dynamo = importlib.import_module("torch._dynamo")
    assert inspect.signature(dynamo.graph_break) == inspect.signature(later._graph_break)
    inspect.signature(later._disable).bind(print, True, wrapping=False)
    inspect.signature(dynamo.disable).bind(print, True, wrapping=False)
    assert issubclass(dynamo.OptimizedModule, torch.nn.Module)


def test_what_is_imported_already_stays() -> None:
    before = {name: importlib.import_module(name) for name in ("torch._dynamo", "scipy.signal")}
    finders = list(sys.meta_path)
    try:
        later.import_later()
        assert {name: sys.modules[name] for name in before} == before
    finally:
        sys.meta_path[:] = finders
