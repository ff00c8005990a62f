"""Networks that the optional package spandrel recognises, converted and used like ours."""

import importlib
import importlib.util
import json
from pathlib import Path

import pytest
import torch

from src.commands.convert.command import convert
from src.core.errors import CheckpointError, ConfigError
from src.core.types import RestorationNet
from src.data.image_io import read_image, to_image, to_tensor
from src.models.attention.channel import ChannelAttention
from src.models.backbones.dncnn import DnCNN
from src.models.backbones.rcan import RCAN
from src.weights.checkpoint import open_checkpoint
from src.weights.network_file import open_network
from tests.support.compose import compose_config
from tests.support.images import pixels, write
from tests.support.published import to_reference_weights
from tests.support.runs import command


def usable() -> bool:
    """Say whether spandrel can be imported; its torchvision may be of another build than torch."""
    try:
        importlib.import_module("spandrel")
    except (ImportError, RuntimeError):
        return False
    return True


needs_spandrel = pytest.mark.skipif(not usable(), reason="the extra spandrel is not installed")


def converted(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    torch.save(weights, folder / "net.pth")
    words = (
        f"source={folder / 'net.pth'}",
        "architecture=spandrel",
        f"output={folder}/n.safetensors",
    )
    convert(compose_config(*words, config_name="convert"))
    return folder / "n.safetensors"


@needs_spandrel
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_a_network_that_spandrel_recognises_gives_the_same_image(tmp_path: Path) -> None:
    net = DnCNN(blocks=15, batch_norm=False, attention_sites=()).eval()
    loaded = open_network(converted(tmp_path, to_reference_weights(net, "dncnn")))
    assert isinstance(loaded, RestorationNet)
    assert (loaded.scale, loaded.in_channels, loaded.multiple_of) == (1, 3, 1)
    image = torch.rand(1, 3, 9, 7)
    torch.testing.assert_close(loaded(image), net(image).clamp(0, 1))
    held = open_checkpoint(tmp_path / "n.safetensors")
    assert held.config.io == {"in_channels": 3, "out_channels": 3, "scale": 1}


@needs_spandrel
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_rcan_of_spandrel_and_ours_are_one_network(tmp_path: Path) -> None:
    sizes = {"n_resgroups": 2, "n_resblocks": 3, "n_feats": 16, "reduction": 4}
    theirs = spandrels("RCAN", scale=2, **sizes)
    for name, parameter in theirs.named_parameters():
        if "mean" not in name:
            parameter.normal_(std=0.08)  # outputs inside [0, 1]
    ours = RCAN(scale=2, channels=16, groups=2, blocks=3, attention=reduced).eval()
    held = theirs.state_dict()
    ours.load_state_dict(dict(zip(ours.state_dict(), held.values(), strict=True)))
    image = torch.rand(1, 3, 9, 7)
    given = image.clone()
    loaded = open_network(converted(tmp_path, held))
    assert loaded.scale == 2
    restored = loaded(given)
    assert torch.equal(given, image)  # spandrel's RCAN multiplies what it is given in place
    assert restored.std() > 0.05
    assert ((restored > 0) & (restored < 1)).float().mean() > 0.5
    # spandrel takes all of them for trained on levels of 255, as the authors' are
    torch.testing.assert_close(restored, (ours(image * 255) / 255).clamp(0, 1))


def reduced(channels: int) -> ChannelAttention:
    """Return channel attention as in the small RCAN above."""
    return ChannelAttention(channels, reduction=4)


def spandrels(name: str, **sizes: object) -> torch.nn.Module:
    """Return a small network of spandrel's own class, with weights that change the image."""
    torch.manual_seed(0)
    package = importlib.import_module(f"spandrel.architectures.{name}")
    net: torch.nn.Module = getattr(package, name)(**sizes).eval()
    return net


SWINIR = {"img_size": 16, "embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8}
SWINIR |= {"mlp_ratio": 2, "upscale": 2, "upsampler": "pixelshuffle"}
NAFNET = {"width": 8, "middle_blk_num": 1, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}


@needs_spandrel
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "sizes", "scale", "task"),
    [
        ("SwinIR", SWINIR, 2, ["task=super_resolution", "task.scale=2"]),
        ("NAFNet", NAFNET, 1, ["task=denoise"]),
    ],
)
def test_it_is_scored_and_restores_like_ours(
    tmp_path: Path, name: str, sizes: dict[str, object], scale: int, task: list[str]
) -> None:
    theirs = spandrels(name, **sizes)
    torch.save(theirs.state_dict(), tmp_path / "net.pth")
    network = [f"checkpoint={tmp_path}/net.pth", "architecture=spandrel", "device=cpu"]
    network.append(f"paths.output_root={tmp_path}")
    photo = write(tmp_path / "photos/a.png", pixels(24, 32))
    done = command("predict", *network, f"input={photo}", f"output={tmp_path}/out")
    assert done.code == 0, done.err
    with torch.no_grad():
        expected = to_image(theirs(to_tensor(pixels(24, 32))[None])[0])
    restored = read_image(tmp_path / "out/a.png", channels=3)
    assert restored.shape == (24 * scale, 32 * scale, 3)
    assert abs(restored.astype(int) - expected).max() <= 1  # spandrel pads to the window
    data = ["data=folder", f"data.val_dir={tmp_path}/photos", f"data.cache_dir={tmp_path}/cache"]
    done = command("evaluate", *network, *task, *data, f"output={tmp_path}/scores")
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "scores/results.json").read_text())
    assert results["benchmarks"]["photos"]["mean"]["psnr"] > 0


@needs_spandrel
@pytest.mark.filterwarnings("ignore")
def test_it_is_trained_from_what_it_restores(tmp_path: Path) -> None:
    net = open_network(converted(tmp_path, spandrels("NAFNet", **NAFNET).state_dict())).train()
    image = torch.rand(2, 3, 16, 16)
    restored = net(image)
    with torch.no_grad():
        torch.testing.assert_close(restored.clamp(0, 1), net(image))
    restored.mean().backward()
    assert any(p.grad is not None and p.grad.any() for p in net.parameters())


@needs_spandrel
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="spandrel knows no network"):
        converted(tmp_path, {"some.weight": torch.zeros(3, 3, 3, 3)})


@pytest.mark.skipif(
    importlib.util.find_spec("spandrel") is not None, reason="the extra spandrel is installed"
)
def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"exemplar\[spandrel\]"):
        converted(tmp_path, {"some.weight": torch.zeros(3, 3, 3, 3)})
