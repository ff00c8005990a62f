"""Networks of the zoo are found by name, whatever the current folder is."""

from pathlib import Path

import pytest

from src.core.errors import CheckpointError
from src.models.backbones.half_resolution import HalfResolution
from src.weights import zoo
from src.weights.checkpoint import (
    find,
    load_weights,
    names_network,
    network_of,
    open_checkpoint,
)
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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["task=denoise", "input=a.png"], ["checkpoint=zoo/denoise", "input=a.png"]),
        (
            ["input=a=b.png", "task=super_resolution"],
            ["checkpoint=zoo/super_resolution_x2", "input=a=b.png"],
        ),
        (["scale=4", "task=super_resolution"], ["checkpoint=zoo/super_resolution_x4"]),
        (["checkpoint=run", "scale=4", "--help"], ["checkpoint=run", "scale=4", "--help"]),
    ],
)
def test_a_task_stands_for_its_network(words: list[str], expected: list[str]) -> None:
    assert zoo.with_zoo(words) == expected


@pytest.mark.usefixtures("animals")
def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(CheckpointError, match=r"comes along, but .*zoo/denoise"):
        find("zoo/denoiser")


def test_a_folder_of_ones_own_of_that_name_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "zoo/mine/checkpoints/best.ckpt"
    own.parent.mkdir(parents=True)
    own.touch()
    monkeypatch.chdir(tmp_path)
    assert find("zoo/mine").resolve() == own.resolve()


@pytest.mark.usefixtures("animals")
def test_weights_that_do_not_fit_are_refused_in_a_few_short_lines() -> None:
    checkpoint = open_checkpoint("zoo/denoise")
    with pytest.raises(CheckpointError, match="does not fit the network") as caught:
        load_weights(HalfResolution(channels=8, blocks=6), checkpoint)
    lines = str(caught.value).splitlines()
    assert len(lines) <= 6
    assert max(map(len, lines[1:])) <= 202
    assert "more" in lines[-1]
