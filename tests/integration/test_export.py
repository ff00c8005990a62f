"""A network that left the project computes what it did inside."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src.core.paths import ROOT
from src.models.backbones.panet import PANet
from src.weights.network_file import open_network, write_network

PANET = {"_target_": "src.models.backbones.panet.PANet", "channels": 8, "blocks": 2, "unshuffle": 2}
LOCAL = {"_target_": "src.models.attention.pyramid_local.LocalPyramidAttention", "_partial_": True}


def network(folder: Path, **arguments: object) -> Path:
    file = folder / "net.safetensors"
    node = PANET | arguments
    with torch.random.fork_rng():
        torch.manual_seed(0)
        held = {key: value for key, value in node.items() if key != "_target_"}
        held.pop("attention", None)  # the sibling has the same tensors
        write_network(file, PANet(**held).state_dict(), node, {})
    return file


def export(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own: the tests' type checks would change the trace."""
    command = [sys.executable, "-m", "src.export", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_program_needs_nothing_of_ours_and_takes_any_size(tmp_path: Path) -> None:
    source, output = network(tmp_path), tmp_path / "net.pt2"
    done = export(f"checkpoint={source}", f"output={output}")
    assert done.returncode == 0, done.stderr
    images = torch.rand(2, 3, 33, 18)
    torch.save(images, tmp_path / "images.pt")
    script = (
        "import json, sys, torch\n"
        "held = {'exemplar.json': ''}\n"
        "program = torch.export.load('net.pt2', extra_files=held)\n"
        "torch.save(program.module()(torch.load('images.pt')), 'restored.pt')\n"
        "assert not [name for name in sys.modules if name.startswith('src')]\n"
        "print(held['exemplar.json'])\n"
    )
    alone = [sys.executable, "-c", script]
    ran = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    with torch.no_grad():
        padded = torch.nn.functional.pad(images, (0, 0, 0, 1), mode="reflect")
        expected = open_network(source)(padded)[:, :, :33]
    restored = torch.load(tmp_path / "restored.pt", weights_only=True)
    torch.testing.assert_close(restored, expected, rtol=1e-5, atol=1e-5)
    assert json.loads(ran.stdout)["scale"] == 1


@pytest.mark.slow
def test_onnx_agrees_with_the_live_network(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the extra 'export' is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    output = tmp_path / "net.onnx"
    # 90 · 0.7 is below 63 in double precision and 63 in single: sizes must be worked out exactly.
    done = export(f"checkpoint={network(tmp_path)}", f"output={output}", "check=[[180,37],[64,48]]")
    assert done.returncode == 0, done.stderr
    session = runtime.InferenceSession(output)
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert session.get_modelmeta().custom_metadata_map["scale"] == "1"


@pytest.mark.slow
def test_what_follows_no_size_is_refused_and_goes_at_one_size(tmp_path: Path) -> None:
    source, output = network(tmp_path, attention=LOCAL), tmp_path / "net.pt2"
    refused = export(f"checkpoint={source}", f"output={output}")
    assert refused.returncode == 2
    assert "size=[256,256]" in refused.stderr
    assert sorted(tmp_path.iterdir()) == [source]
    done = export(f"checkpoint={source}", f"output={output}", "size=[32,24]")
    assert done.returncode == 0, done.stderr
    assert torch.export.load(output).module()(torch.rand(3, 3, 32, 24)).shape == (3, 3, 32, 24)


@pytest.mark.slow
def test_a_file_that_differs_is_not_kept(tmp_path: Path) -> None:
    source = network(tmp_path)
    done = export(f"checkpoint={source}", f"output={tmp_path / 'net.pt2'}", "tolerance=1e-12")
    assert done.returncode == 1
    assert "differs from the live one by" in done.stderr
    assert sorted(tmp_path.iterdir()) == [source]


@pytest.mark.long
def test_weights_alone_build_the_same_network(tmp_path: Path) -> None:
    source, output = network(tmp_path), tmp_path / "out/alone.safetensors"
    done = export(f"checkpoint={source}", f"output={output}")
    assert done.returncode == 0, done.stderr
    degraded = torch.rand(1, 3, 12, 14)
    with torch.no_grad():
        assert torch.equal(open_network(output)(degraded), open_network(source)(degraded))


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("output=net.pth",), "must end in .pt2, .onnx, .safetensors"),
        (("output=net.pt2", "size=[8,8]"), "16 or more"),
        (("output=net.pt2", "check=[]"), "would prove nothing"),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = export(f"checkpoint={network(tmp_path)}", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (ROOT / "net.pt2").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_network_and_block_exports_or_says_why_not() -> None:
    """Two blocks work in pieces whose number depends on the size; all others take any size."""
    command = [sys.executable, "-m", "tools.exports"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    refused = {row["name"] for row in rows if "refused" in row}
    assert refused == {"edsr+pyramid_local", "edsr+sparse_lsh"}
    assert len(rows) > 20
