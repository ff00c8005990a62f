"""Networks of the zoo are found by name, whatever the current folder is."""

from pathlib import Path

import pytest

from src.core.errors import CheckpointError
from src.models.backbones.half_resolution import HalfResolution
from src.weights import zoo
from src.weights.checkpoint import find, names_network, network_of, open_checkpoint
from src.weights.network_file import write_network


@pytest.fixture
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo with one denoiser."""
    net = HalfResolution(channels=4, blocks=2)
    model = {"_target_": "src.models.backbones.half_resolution.HalfResolution", "channels": 4}
    write_network(
        tmp_path / "denoise" / zoo.MODEL, net.state_dict(), {**model, "blocks": 2}, {"step": 1}
    )
    monkeypatch.setattr(zoo, "_FOLDER", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("animals")
def test_a_name_of_the_zoo_is_a_checkpoint() -> None:
    assert names_network("zoo/denoise")
    net = network_of(open_checkpoint("zoo/denoise"))
    assert isinstance(net, HalfResolution)
    assert not net.training


@pytest.mark.usefixtures("animals")
def test_the_network_of_a_task_is_known_by_task_and_scale() -> None:
    assert zoo.network_for("denoise") == "zoo/denoise"
    with pytest.raises(CheckpointError, match="zoo/super_resolution_x3"):
        zoo.network_for("super_resolution", 3)


@pytest.mark.usefixtures("animals")
def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(CheckpointError, match="Did you mean zoo/denoise"):
        find("zoo/denoiser")


def test_a_folder_of_ones_own_of_that_name_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "zoo/mine/checkpoints/best.ckpt"
    own.parent.mkdir(parents=True)
    own.touch()
    monkeypatch.chdir(tmp_path)
    assert find("zoo/mine").resolve() == own.resolve()
