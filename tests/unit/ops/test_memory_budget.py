"""The budget of chunked attention bounds what the process really takes, in training too."""

import json
import subprocess
import sys

import pytest

from src.core.paths import ROOT

SIDE = 72  # 27 million scores: 103 MiB in the plain form, as much again for softmax and gradients
SLACK = 2**22  # the allocator rounds up
SCRIPT = f"""
import json, torch
from src.ops.chunked_patch_attention import chunked_patch_attention
from src.runtime.benchmark.measure import peak_bytes
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
            peak_bytes(call, torch.device("cpu")) for _ in range(2)  # heaps grow now and then
        )
print(json.dumps(found))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the peak")
def test_peak_memory_stays_within_the_budget_in_inference_and_in_training() -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, cwd=ROOT
    )
    image = SIDE * SIDE * 4  # one channel
    outputs = {"forward": 32 * image, "training": 2 * 32 * image + (16 + 16 + 32) * image}
    for case, peak in json.loads(result.stdout).items():
        name, budget = case.split()
        assert peak <= int(budget) + outputs[name] + SLACK, case
        assert peak >= int(budget) // 3, f"{case}: the budget is not used"
