"""Whole images: what predict says it needs, and the bands by which the plain form is computed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src.app.build import make, plain
from src.core.paths import ROOT
from src.models.attention.pyramid import PyramidAttention
from src.weights.network_file import write_network
from tests.support.compose import compose_config
from tests.support.images import pixels, write
from tools.whole_image import plain_band

PREDICT = """
import atexit, pathlib, runpy
atexit.register(lambda: print(pathlib.Path("/proc/self/status").read_text()))
runpy.run_module("src.predict", run_name="__main__", alter_sys=True)
"""


def test_bands_of_the_plain_form_are_its_rows() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        block = PyramidAttention(16, implementation="chunked")
    features = torch.randn(1, 16, 23, 17, generator=torch.Generator().manual_seed(1))
    found = [plain_band(block, features, *band) for band in ((0, 7), (7, 15), (15, 23))]
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(found, dim=2), block(features), rtol=0, atol=1e-6)


def predict(network: Path, folder: Path, size: tuple[int, int]) -> tuple[str, float]:
    """Return what predict says, and the largest size of its process in MiB."""
    source = write(folder / f"{size[0]}.png", pixels(*size))
    words = (f"checkpoint={network}", f"input={source}", f"output={folder / 'out'}")
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, *words, "device=cpu", "inference.tile=null"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Not what wait4 tells, which counts what the tests' process was when it started this one.
    (largest,) = re.findall(r"^VmHWM:\s+(\d+) kB$", done.stdout, re.MULTILINE)
    return done.stderr, int(largest) / 1024


@pytest.mark.slow  # two processes, one of which restores a large image
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sizes in KiB, as on Linux")
def test_predict_says_what_its_process_will_take(tmp_path: Path) -> None:
    cfg = compose_config("task=denoise", "model=dncnn")
    network = tmp_path / "net.safetensors"
    write_network(network, make(cfg.model).state_dict(), plain(cfg.model), {"version": "test"})
    _, without = predict(network, tmp_path, (24, 20))
    said, size = predict(network, tmp_path, (640, 500))
    told = re.search(r"whole image, about ([0-9.]+) GiB of", said)
    assert told is not None, said
    assert float(told[1]) * 1024 == pytest.approx(size - without, rel=0.2)
