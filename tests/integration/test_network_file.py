"""A converted file is enough to restore images, and with a task to score them."""

import json
from pathlib import Path

import pytest
import torch

from src.commands.convert.command import convert
from src.data.image_io import read_image, to_image, to_tensor
from src.models.backbones.edsr import EDSR
from src.models.backbones.ffdnet import FFDNet
from src.models.backbones.panet import PANet
from src.weights.network_file import write_network
from tests.support.compose import compose_config
from tests.support.images import pixels, write, write_folder
from tests.support.published import to_reference_weights
from tests.support.runs import Finished, command

NET = PANet(channels=8, blocks=2).eval()


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert a small PANet from the authors' layout and return the file."""
    folder = tmp_path_factory.mktemp("converted")
    source, output = folder / "authors.pt", folder / "net.safetensors"
    torch.save(to_reference_weights(NET, "panet"), source)
    words = (f"source={source}", "architecture=panet", f"output={output}")
    convert(compose_config(*words, config_name="convert"))
    return output


def _evaluate(checkpoint: Path, folder: Path, *words: str) -> Finished:
    photos = write_folder(folder / "photos")
    data = ("data=folder", f"data.val_dir={photos}", f"data.cache_dir={folder / 'cache'}")
    given = (f"checkpoint={checkpoint}", f"output={folder / 'scores'}", "device=cpu", *data)
    return command("evaluate", *given, *words)


def test_predict_needs_only_the_file(converted: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.png", pixels())
    words = (f"input={source}", f"output={tmp_path / 'out'}", "device=cpu")
    done = command("predict", f"checkpoint={converted}", *words)
    assert done.code == 0, done.err
    with torch.no_grad():
        expected = to_image(NET(to_tensor(pixels())[None])[0])
    assert (read_image(tmp_path / "out/a.png", channels=3) == expected).all()


def test_predict_takes_channels_and_scale_from_the_file(tmp_path: Path) -> None:
    net = EDSR(1, 1, 3, channels=4, blocks=2)
    model = {"_target_": "src.models.backbones.edsr.EDSR", "in_channels": 1, "out_channels": 1}
    model |= {"scale": 3, "channels": 4, "blocks": 2}
    write_network(tmp_path / "x.safetensors", net.state_dict(), model, {})
    source = write(tmp_path / "a.png", pixels(8, 9, 1))
    words = (f"input={source}", f"output={tmp_path / 'out'}", "device=cpu")
    done = command("predict", f"checkpoint={tmp_path / 'x.safetensors'}", *words)
    assert done.code == 0, done.err
    assert read_image(tmp_path / "out/a.png", channels=1).shape == (24, 27, 1)


def test_predict_tells_a_network_the_noise_level_that_is_given(tmp_path: Path) -> None:
    net = FFDNet(4, 3, channels=4, blocks=1).eval()
    model = {"_target_": "src.models.backbones.ffdnet.FFDNet", "in_channels": 4, "out_channels": 3}
    write_network(
        tmp_path / "x.safetensors", net.state_dict(), model | {"channels": 4, "blocks": 1}, {}
    )
    source = write(tmp_path / "a.png", pixels())
    words = (f"input={source}", f"output={tmp_path / 'out'}", "device=cpu", "sigma=51")
    done = command("predict", f"checkpoint={tmp_path / 'x.safetensors'}", *words)
    assert done.code == 0, done.err
    noisy = to_tensor(pixels())[None]
    with torch.no_grad():
        expected = to_image(net(torch.cat([noisy, torch.full_like(noisy[:, :1], 0.2)], dim=1))[0])
    assert (read_image(tmp_path / "out/a.png", channels=3) == expected).all()


@pytest.mark.long
def test_evaluate_scores_it_on_a_task(converted: Path, tmp_path: Path) -> None:
    done = _evaluate(converted, tmp_path, "task=denoise", "degradation.sigma=[10,10]")
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "scores/results.json").read_text())
    assert results["checkpoint"] == str(converted)
    assert results["model"]["channels"] == 8
    assert results["degradation"]["sigma"] == [10, 10]
    assert results["trained_by"]["architecture"] == "panet"
    mean = results["benchmarks"]["photos"]["mean"]
    assert mean["psnr"] != mean["psnr_input"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "holds a network and no task: add task="),
        (["task=denoise", "model=edsr"], "brings its own model; leave out model=edsr"),
        (["task=dejpeg"], "has in_channels=3, the task 1; choose a task"),
    ],
)
def test_what_the_file_cannot_answer_is_refused(
    converted: Path, tmp_path: Path, words: list[str], says: str
) -> None:
    done = _evaluate(converted, tmp_path, *words)
    assert done.code == 2
    assert says in done.err
    assert not (tmp_path / "scores").exists()
