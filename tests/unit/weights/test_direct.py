"""Published weights given as a checkpoint, with the name of their architecture."""

from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from src.core.errors import CheckpointError, ConfigError
from src.models.backbones.dncnn import DnCNN
from src.models.backbones.fsrcnn import FSRCNN
from src.models.backbones.vdsr import VDSR
from src.weights.checkpoint import open_checkpoint, to_reference_weights
from src.weights.direct import with_published_weights
from tests.support.compose import compose_config


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
