"""The budget of patch attention bounds what the process really takes, in training too."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from src.core.paths import ROOT
from src.ops.attention import patch_attention as chooser
from src.ops.attention.cpp.build import load
from src.ops.attention.native import native_bytes
from src.ops.attention.patch_attention import Implementation, patch_attention

SIDE = 72  # 27 million scores: 103 MiB in the dense form, as much again for softmax and gradients
SLACK = 2**22  # the allocator rounds up
SCRIPT = f"""
import json, torch
from src.ops.attention.chunked import chunked_patch_attention
from src.app.measure import peak_bytes
torch.set_num_threads(1)
def draw(c, s): return torch.randn(1, c, s, s, requires_grad=True)
def forward():
    with torch.no_grad():
        return chunked_patch_attention(query, [key], [value], memory_budget=budget)
def training():
    result = chunked_patch_attention(query, [key], [value], memory_budget=budget)
    return torch.autograd.grad(result.sum(), (query, key, value))
query, key, value = draw(16, {SIDE}), draw(16, {SIDE}), draw(32, {SIDE})
budget = 2**24
forward(), training()  # libraries, their buffers and thread pools are in memory now
found = {{}}
for budget in (2**25, 2**26):
    for call in (forward, training):
        found[f"{{call.__name__}} {{budget}}"] = min(
            peak_bytes(call, torch.device("cpu")) for _ in range(4)  # heaps grow now and then
        )
print(json.dumps(found))
"""
NATIVE = """
import json, sys, torch
from src.ops.attention.patch_attention import _kernel_bytes, patch_attention
from src.app.measure import peak_bytes
threads, batch, scale, half = map(int, sys.argv[1:])
torch.set_num_threads(threads)
def draw(c, h, w):
    numbers = torch.randn(batch, c, h, w)
    return (numbers.bfloat16() if half else numbers).requires_grad_()
query = draw(16, 64, 60)
keys = [draw(16, 64, 60), draw(16, 38, 36)]
values = [draw(32, 64 * scale, 60 * scale), draw(32, 38 * scale, 36 * scale)]
leaves = [query, *keys, *values]
def attend():
    return patch_attention(
        query, keys, values, min_norm=torch.tensor([1e-4]), scale=scale, implementation="native"
    )
def forward():
    with torch.no_grad():
        return attend()
def training():
    return torch.autograd.grad(attend().sum(), leaves)
forward(), training()
found = {}
for call, backward in ((forward, False), (training, True)):
    with torch.set_grad_enabled(backward):
        budget = _kernel_bytes(query, keys, values, scale)
    peak = min(peak_bytes(call, torch.device("cpu")) for _ in range(4))
    output = values[0].nbytes  # the result, and in training its gradient
    outputs = output * (1 + backward) + backward * sum(leaf.nbytes for leaf in leaves)
    found[call.__name__] = [budget, peak - outputs]
print(json.dumps(found))
"""


def measured(script: str, *arguments: int) -> dict[str, Any]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="asks Linux for the peak"
)
needs_compiler = pytest.mark.skipif(
    load("patch_attention") is None, reason="this machine has no C++ compiler"
)


@pytest.mark.long
@on_linux
def test_peak_memory_stays_within_the_budget_in_inference_and_in_training() -> None:
    image = SIDE * SIDE * 4  # one channel
    outputs = {"forward": 32 * image, "training": 2 * 32 * image + (16 + 16 + 32) * image}
    for case, peak in measured(SCRIPT).items():
        name, budget = case.split()
        assert peak <= int(budget) + outputs[name] + SLACK, case
        assert peak >= int(budget) // 3, f"{case}: the budget is not used"


@pytest.mark.long
@on_linux
@needs_compiler
@pytest.mark.parametrize(
    ("threads", "batch", "scale", "half"),
    [
        (2, 3, 1, 0),
        pytest.param(1, 1, 1, 0, marks=pytest.mark.slow),
        pytest.param(2, 1, 2, 0, marks=pytest.mark.slow),
        pytest.param(2, 4, 1, 1, marks=pytest.mark.slow),
    ],
)
def test_the_kernel_holds_no_more_than_it_says(
    threads: int, batch: int, scale: int, half: int
) -> None:
    for name, (budget, peak) in measured(NATIVE, threads, batch, scale, half).items():
        assert peak <= budget + SLACK, name
        assert peak >= budget // 3, f"{name}: says far too much, and would be passed over"


def leaves() -> tuple[Tensor, list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, c, 9, 8, generator=generator) for c in (4, 4, 6))
    return query, [key], [value]


def attend(implementation: Implementation, budget: int) -> Tensor:
    return patch_attention(
        *leaves(),
        min_norm=torch.tensor([1e-4]),
        implementation=implementation,
        memory_budget=budget,
    )


@needs_compiler
def test_a_kernel_that_does_not_fit_is_refused_by_name_with_what_it_needs() -> None:
    query, keys, values = leaves()
    needed = native_bytes(query, keys, values[0].shape[1])
    attend("native", needed)
    with pytest.raises(RuntimeError, match=rf"memory_budget={needed - 1}; raise it to {needed}"):
        attend("native", needed - 1)


@needs_compiler
def test_where_the_kernel_does_not_fit_pytorch_does_the_work_and_one_line_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chooser._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        found = [attend("auto", 100_000) for _ in range(2)]
    assert all(torch.equal(one, attend("chunked", 100_000)) for one in found)
    (line,) = caplog.messages
    assert "memory_budget=100000" in line
