"""`python -m src.convert`, the files it writes, and published weights given as a checkpoint."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import src
from src.commands.convert.command import convert
from src.core.errors import CheckpointError, ConfigError, ExemplarError
from src.models.attention.pyramid import PyramidAttention
from src.models.backbones.csnln import CSNLN
from src.models.backbones.dncnn import DnCNN
from src.models.backbones.edsr import EDSR
from src.models.backbones.fsrcnn import FSRCNN
from src.models.backbones.panet import PANet
from src.models.backbones.vdsr import VDSR
from src.weights.checkpoint import open_checkpoint
from src.weights.conversion import with_published_weights
from src.weights.network_file import open_network, read_network, write_network
from tests.support.compose import compose_config
from tests.support.published import to_reference_weights

NETWORKS: Mapping[str, nn.Module] = {
    "panet": PANet(channels=8, blocks=2),
    "pa_edsr": EDSR(
        scale=4,
        channels=8,
        blocks=2,
        attention=lambda channels: PyramidAttention(channels, residual_scale=0.1),
    ),
    "csnln": CSNLN(scale=3, channels=8, depth=2),
}


def run(source: Path, architecture: str, output: Path, *, overwrite: bool = False) -> int:
    return convert(
        compose_config(
            f"source={source}",
            f"architecture={architecture}",
            f"output={output}",
            f"overwrite={str(overwrite).lower()}",
            config_name="convert",
        )
    )


def written(architecture: str, folder: Path) -> Path:
    """Write the authors' file of a small network in their old format and return its path."""
    path = folder / f"{architecture}.pt"
    weights = to_reference_weights(NETWORKS[architecture], architecture)
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    return path


@pytest.mark.parametrize("architecture", NETWORKS)
def test_a_converted_network_gives_the_same_image(architecture: str, tmp_path: Path) -> None:
    net = NETWORKS[architecture].eval()
    output = tmp_path / "new" / "net.safetensors"
    count = run(written(architecture, tmp_path), architecture, output)
    assert count == sum(parameter.numel() for parameter in net.parameters())
    loaded = open_network(output)
    image = torch.rand(1, 3, 7, 9, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(net(image), loaded(image))
    assert not loaded.training
    assert [file.name for file in output.parent.iterdir()] == ["net.safetensors"]


def test_the_file_says_where_it_came_from_and_how_to_build_it(tmp_path: Path) -> None:
    source, output = written("csnln", tmp_path), tmp_path / "net.safetensors"
    run(source, "csnln", output)
    held = read_network(output)
    assert held.about["architecture"] == "csnln"
    assert held.about["version"] == src.__version__
    assert held.about["source"] == {
        "name": "csnln.pt",
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }
    assert {key: held.model[key] for key in ("scale", "channels", "depth")} == {
        "scale": 3,
        "channels": 8,
        "depth": 2,
    }
    with safe_open(output, framework="pt") as file:
        assert set(file.keys()) == set(NETWORKS["csnln"].state_dict())


def test_a_network_goes_to_our_format_and_back_to_the_authors_unchanged(tmp_path: Path) -> None:
    source, output = written("pa_edsr", tmp_path), tmp_path / "net.safetensors"
    run(source, "pa_edsr", output)
    back = to_reference_weights(open_network(output), "pa_edsr")
    original = torch.load(source, weights_only=True)
    assert back.keys() == original.keys()
    assert all(torch.equal(back[name], original[name]) for name in original)


@pytest.mark.parametrize(
    ("architecture", "output", "kind", "says"),
    [
        ("pannet", "x.safetensors", ConfigError, "architecture=pannet: .*panet"),
        ("panet", "x.pt", ConfigError, "must end in .safetensors"),
        ("csnln", "x.safetensors", CheckpointError, "head.0.0.weight.*right architecture"),
        ("panet", "panet.safetensors", CheckpointError, "exists already; set overwrite=true"),
    ],
)
def test_what_cannot_be_converted_is_refused_and_nothing_is_written(
    architecture: str, output: str, kind: type[ExemplarError], says: str, tmp_path: Path
) -> None:
    source = written("panet", tmp_path)
    (tmp_path / "panet.safetensors").write_bytes(b"mine")
    with pytest.raises(kind, match=says):
        run(source, architecture, tmp_path / output)
    assert (tmp_path / "panet.safetensors").read_bytes() == b"mine"
    assert {file.name for file in tmp_path.iterdir()} == {"panet.pt", "panet.safetensors"}


def test_overwrite_replaces_the_output(tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    output.write_bytes(b"old")
    run(written("panet", tmp_path), "panet", output, overwrite=True)
    assert isinstance(open_network(output), PANet)


def _file(path: Path, metadata: dict[str, str] | None) -> Path:
    save_file({"weight": torch.zeros(2)}, path, metadata=metadata)
    return path


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        (None, "not written by this project"),
        ({"restoration": "{"}, "not written by this project"),
        ({"restoration": '{"format": 99, "model": {}}'}, "format 99.*Update"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(
    metadata: dict[str, str] | None, says: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=says):
        open_network(_file(tmp_path / "net.safetensors", metadata))


@pytest.mark.parametrize(
    "model",
    [
        {"_target_": "os.mkdir", "path": "pwned"},
        {"_target_": "src.models.backbones.panet.PANet", "attention": {"_target_": "os.getcwd"}},
        {"_target_": "src.models.backbones.panet.PANet", "x": [{"_target_": "os.getcwd"}]},
    ],
)
def test_a_file_that_would_call_something_else_is_refused(
    model: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    carried = json.dumps({"format": 1, "model": model})
    path = _file(tmp_path / "net.safetensors", {"restoration": carried})
    with pytest.raises(
        CheckpointError, match=r"refused, because its configuration would call 'os\."
    ):
        open_network(path)
    assert not (tmp_path / "pwned").exists()


def test_a_truncated_or_ill_fitting_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    node = {"_target_": "src.models.backbones.panet.PANet", "channels": 8, "blocks": 2}
    write_network(path, NETWORKS["panet"].state_dict(), {**node, "blocks": 4}, {})
    with pytest.raises(CheckpointError, match="does not fit its own network"):
        open_network(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged, truncated"):
        open_network(path)
    with pytest.raises(CheckpointError, match="there is no such file"):
        open_network(tmp_path / "none.safetensors")


def test_an_architecture_is_asked_for_in_the_configuration() -> None:
    assert OmegaConf.is_missing(compose_config(config_name="convert"), "architecture")


def asked(folder: Path, net: nn.Module, architecture: str, *words: str) -> DictConfig:
    """Return a configuration of evaluate for the authors' file of ``net``."""
    torch.save(to_reference_weights(net, architecture), folder / "net.pth")
    given = (f"checkpoint={folder}/net.pth", f"architecture={architecture}")
    where = f"paths.output_root={folder}"
    return compose_config(*given, where, *words, config_name="evaluate")


def test_a_file_of_published_weights_becomes_a_checkpoint_of_ours(tmp_path: Path) -> None:
    net = DnCNN(channels=8, blocks=2, batch_norm=False, attention_sites=())
    ready = with_published_weights(asked(tmp_path, net, "dncnn"))
    assert ready.checkpoint == str(tmp_path / "networks/net_dncnn.safetensors")
    held = open_checkpoint(ready.checkpoint)
    assert all(torch.equal(held.weights[name], t) for name, t in net.state_dict().items())
    assert held.origin["architecture"] == "dncnn"


@pytest.mark.parametrize(
    ("net", "name", "file"),
    [
        (
            FSRCNN(1, 1, 3, attention_sites=()),
            "fsrcnn",
            "net_fsrcnn_x3.safetensors",
        ),  # its file does not tell
        (
            VDSR(1, 1, channels=8, blocks=2, attention_sites=()),
            "vdsr",
            "net_vdsr.safetensors",
        ),  # is of no scale
    ],
)
def test_the_scale_of_the_task_counts_where_the_file_needs_one(
    tmp_path: Path, net: nn.Module, name: str, file: str
) -> None:
    cfg = asked(tmp_path, net, name, "task=super_resolution_luma", "task.scale=3")
    assert Path(with_published_weights(cfg).checkpoint).name == file


def test_without_an_architecture_the_checkpoint_is_ours(tmp_path: Path) -> None:
    cfg = compose_config("checkpoint=outputs/run", config_name="evaluate")
    assert with_published_weights(cfg) is cfg


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    cfg = asked(
        tmp_path, DnCNN(channels=8, blocks=2, batch_norm=False, attention_sites=()), "dncnn"
    )
    cfg.architecture = "dncn"
    with pytest.raises(ConfigError, match=r"architecture=dncn: no such .*Did you mean dncnn"):
        with_published_weights(cfg)
    cfg.architecture = "imdn"
    with pytest.raises(CheckpointError, match="The tensors do not fit"):
        with_published_weights(cfg)
    cfg.architecture, cfg.checkpoint = "dncnn", ["a.pth", "b.pth"]
    with pytest.raises(ConfigError, match="goes with one file of published weights"):
        with_published_weights(cfg)
