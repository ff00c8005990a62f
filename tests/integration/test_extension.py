"""Parts from outside the repository train a step, and nothing in it is touched."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from src.core.paths import CONF_DIR, ROOT
from src.weights.checkpoint_file import read

PYTHON = {
    "their_gate": '''
"""An attention block."""
from torch import Tensor, nn
from src.models.attention import ATTENTION

@ATTENTION.register(paper="ours alone", cost="O(n)")
class TheirGate(nn.Module):
    scale = 1

    def __init__(self, channels: int, *, slope: float = 0.5) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, kernel_size=1)
        self.slope = slope

    def forward(self, features: Tensor) -> Tensor:
        return features * (self.slope * self.mix(features)).sigmoid()
''',
    "their_net": '''
"""A backbone."""
from torch import Tensor, nn
from src.core.types import AttentionFactory
from src.models.backbones import BACKBONES

@BACKBONES.register(paper="ours alone", cost="O(n)")
class TheirNet(nn.Module):
    scale = multiple_of = min_size = 1
    global_context = False

    def __init__(
        self, in_channels: int, out_channels: int, *, attention: AttentionFactory, channels: int = 6
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.head = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.attention = attention(channels)
        self.tail = nn.Conv2d(channels, out_channels, 3, padding=1)

    def forward(self, degraded: Tensor) -> Tensor:
        return degraded[:, : self.out_channels] + self.tail(self.attention(self.head(degraded)))
''',
    "their_dimming": '''
"""A degradation."""
import torch
from torch import Tensor, nn

class TheirDimming(nn.Module):
    def __init__(self, low: float = 0.2) -> None:
        super().__init__()
        self.low = low

    def forward(self, clean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        gain = torch.empty(len(clean), 1, 1, 1, device=clean.device)
        return clean * gain.uniform_(self.low, 1, generator=generator)
''',
    "their_task": '''
"""A task."""
import torch
from torch import Tensor
from src.core.types import Pair
from src.training.tasks import TASKS
from src.training.tasks.base import RestorationTask

@TASKS.register(paper="ours alone")
class TheirTask(RestorationTask):
    def net_input(self, pair: Pair) -> Tensor:
        return torch.cat([pair["input"], pair["input"].mean(1, keepdim=True)], dim=1)
''',
}
YAML = {
    "model/attention/their_gate": "_target_: their_gate.TheirGate\n_partial_: true\nslope: 0.5\n",
    "model/their_net": (
        "defaults: [{attention: their_gate}]\n_target_: their_net.TheirNet\n"
        "in_channels: ${io.in_channels}\nout_channels: ${io.out_channels}\nchannels: 6\n"
    ),
    "degradation/their_dimming": "_target_: their_dimming.TheirDimming\nlow: 0.2\n",
    "task/their_task": (
        "# @package _global_\ndefaults:\n  - override /data: synthetic\n"
        "  - override /degradation: their_dimming\n  - override /model: their_net\n"
        "io: {in_channels: 4, out_channels: 3, scale: 1}\n"
        "task: {_target_: their_task.TheirTask}\n"
    ),
}
SETTINGS = ("data.batch_size=2", "data.patch_size=16", "data.workers=0", "data.cache=off")
LENGTH = ("trainer=cpu", "trainer.max_steps=2", "trainer.val_check_interval=2")


def _digests() -> dict[str, str]:
    files = (file for folder in (ROOT / "src", CONF_DIR) for file in folder.rglob("*"))
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.suffix in {".py", ".yaml", ".cpp"}
    }


def _train(folder: Path, run: Path, *words: str) -> subprocess.CompletedProcess[str]:
    for name, text in PYTHON.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    for name, text in YAML.items():
        file = folder / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    found = f"hydra.searchpath=[file://{folder / 'conf'}]"
    paths = os.pathsep.join([str(ROOT), str(folder)])
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "src.train",
            found,
            *SETTINGS,
            *LENGTH,
            *words,
            f"hydra.run.dir={run}",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_an_attention_block_a_backbone_a_degradation_and_a_task_from_outside(
    tmp_path: Path,
) -> None:
    before, run = _digests(), tmp_path / "run"
    done = _train(tmp_path, run, "task=their_task")
    assert done.returncode == 0, done.stderr
    assert "TheirNet" in done.stderr
    config = yaml.safe_load((run / "config.yaml").read_text())
    targets = {group: config[group]["_target_"] for group in ("task", "model", "degradation")}
    assert targets == {
        "task": "their_task.TheirTask",
        "model": "their_net.TheirNet",
        "degradation": "their_dimming.TheirDimming",
    }
    assert config["model"]["attention"]["_target_"] == "their_gate.TheirGate"
    held = read(run / "checkpoints/last.ckpt")
    assert held["global_step"] == 2
    assert torch.isfinite(held["state_dict"]["net.attention.mix.weight"]).all()
    assert _digests() == before


@pytest.mark.long
def test_their_block_stands_in_our_network_on_our_task(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("task=denoise", "data=synthetic", "model=edsr_tiny", "model/attention=their_gate")
    done = _train(tmp_path, run, *words)
    assert done.returncode == 0, done.stderr
    names = read(run / "checkpoints/last.ckpt")["state_dict"]
    assert any(name.endswith("mix.weight") for name in names)
