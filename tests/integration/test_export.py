"""A network that left the project computes what it did inside."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch
from hydra.utils import instantiate

from src.core.paths import ROOT
from src.models.backbones.half_resolution import HalfResolution
from src.weights.network_file import open_network, write_network
from tests.support.images import write_folder
from tests.support.openvino import openvino_or_skip
from tests.support.runs import command

PANET = {"_target_": "src.models.backbones.panet.PANet", "channels": 8, "blocks": 2, "unshuffle": 2}
BLOCKS = "src.models.attention"
LSH = {"_target_": f"{BLOCKS}.sparse_lsh.SparseAttention", "_partial_": True}
LOCAL = {
    "_target_": f"{BLOCKS}.pyramid_local.LocalPyramidAttention",
    "_partial_": True,
    "window": 9,
    "levels": 2,
}
CROSS = {"_target_": f"{BLOCKS}.cross_scale.CrossScaleAttention", "_partial_": True, "window": 9}


def network(folder: Path, **arguments: object) -> Path:
    file = folder / "net.safetensors"
    node = PANET | arguments
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = instantiate(node, _convert_="all")
    write_network(file, net.state_dict(), node, {})
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
    output = tmp_path / "net.onnx"
    # 90 · 0.7 is below 63 in double precision and 63 in single: sizes must be worked out exactly.
    done = export(f"checkpoint={network(tmp_path)}", f"output={output}", "check=[[180,37],[64,48]]")
    assert done.returncode == 0, done.stderr
    session = onnxruntime.InferenceSession(output)
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert session.get_modelmeta().custom_metadata_map["scale"] == "1"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
@pytest.mark.parametrize("attention", [LOCAL, CROSS], ids=["pyramid_local", "cross_scale"])
def test_search_windows_leave_as_masks_at_any_size(
    attention: dict[str, object], suffix: str, tmp_path: Path
) -> None:
    source, output = network(tmp_path, attention=attention), tmp_path / f"net{suffix}"
    sizes = "check=[[16,16],[37,29],[48,21]]"  # cross-scale attention pads inside at the second
    done = export(f"checkpoint={source}", f"output={output}", sizes)
    assert done.returncode == 0, done.stderr
    assert "37×29: at most" in done.stderr + done.stdout


@pytest.mark.slow
def test_what_follows_no_size_is_refused_and_goes_at_one_size(tmp_path: Path) -> None:
    source, output = network(tmp_path, attention=LSH), tmp_path / "net.pt2"
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


def test_weights_alone_build_the_same_network(tmp_path: Path) -> None:
    source, output = network(tmp_path), tmp_path / "out/alone.safetensors"
    done = command("export", f"checkpoint={source}", f"output={output}")
    assert done.code == 0, done.err
    degraded = torch.rand(1, 3, 12, 14)
    with torch.no_grad():
        assert torch.equal(open_network(output)(degraded), open_network(source)(degraded))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("output=net.pth",), "must end in .pt2, .onnx, .xml, .safetensors"),
        (("output=net.pt2", "size=[8,8]"), "16 or more"),
        (("output=net.pt2", "check=[]"), "would prove nothing"),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = command("export", f"checkpoint={network(tmp_path)}", *words)
    assert done.code == 2
    assert said in done.err
    assert not (ROOT / "net.pt2").exists()


def denoiser(folder: Path) -> Path:
    """Write a network that returns its input, and says that it denoises."""
    arguments = {"channels": 16, "blocks": 2}
    net = HalfResolution(**arguments)
    torch.nn.init.zeros_(net.tail.weight)
    torch.nn.init.zeros_(net.tail.bias)
    node = {"_target_": "src.models.backbones.half_resolution.HalfResolution", **arguments}
    write_network(folder / "net.safetensors", net.state_dict(), node, {"task": "Denoise"})
    return folder / "net.safetensors"


@pytest.mark.long
def test_int8_is_judged_and_says_how_to_run_it_without_torch(tmp_path: Path) -> None:
    photos = write_folder(tmp_path / "photos", 2, height=60, width=72)
    output = tmp_path / "out/net.onnx"
    words = ("precision=int8", f"judged={photos}", f"calibration={photos}", "check=[[17,20]]")
    done = export(f"checkpoint={denoiser(tmp_path)}", f"output={output}", *words)
    assert done.returncode == 0, done.stderr
    assert "int8, 2 images" in done.stdout
    assert "+0.000 dB lost" in done.stdout
    assert list(output.parent.iterdir()) == [output]
    [runner] = re.findall(r"python (\S+run_onnx\.py)", done.stdout.replace("\n", ""))
    command = [sys.executable, runner, output, photos / "a.png", tmp_path / "restored.png"]
    subprocess.run(command, check=True)
    assert (tmp_path / "restored.png").is_file()


@pytest.mark.long
def test_what_loses_more_than_allowed_leaves_nothing_and_openvino_tells_nobody(
    tmp_path: Path,
) -> None:
    openvino_or_skip()
    source, home = denoiser(tmp_path), tmp_path / "home"
    home.mkdir()
    photos = write_folder(tmp_path / "photos", 2, height=60, width=72)
    script = (
        "import sys\n"
        "asked = []\n"
        "def hear(event, arguments):\n"
        "    if event.startswith(('socket.connect', 'socket.get', 'urllib')):\n"
        "        asked.append((event, arguments))\n"
        "sys.addaudithook(hear)\n"
        "from src.export import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print('asked', asked)\n"
    )
    words = [f"checkpoint={source}", f"output={tmp_path / 'out/net.xml'}", f"judged={photos}"]
    words += ["precision=fp16", "max_loss_db=-1", "check=[[17,20]]"]  # it must gain 1 dB
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=ROOT,
        env=os.environ | {"HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stderr.split())
    assert re.search(r"precision=fp16 loses -?0\.\d+ dB on .*, and max_loss_db=-1", said)
    assert "or max_loss_db=null" in said
    assert [*tmp_path.glob("out/*")] == []
    assert "asked []" in done.stdout
    assert not (home / "intel").exists()


def test_weights_of_another_file_beside_an_xml_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "net.bin").write_bytes(b"somebody's")
    words = (f"checkpoint={denoiser(tmp_path)}", f"output={tmp_path / 'net.xml'}", "judged=a")
    done = command("export", *words)
    assert done.code == 1
    assert "net.bin exists already; set overwrite=true" in done.err
    assert (tmp_path / "net.bin").read_bytes() == b"somebody's"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_network_and_block_exports_or_says_why_not() -> None:
    """One block works in pieces whose number depends on the size; all others take any size."""
    command = [sys.executable, "-m", "tools.exports"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    refused = {row["name"] for row in rows if "refused" in row}
    assert refused == {"edsr+sparse_lsh"}
    assert len(rows) > 20
