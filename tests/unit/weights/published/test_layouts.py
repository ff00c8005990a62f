"""Layouts of third parties' weights: every tensor finds its place, and nothing is guessed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from src.commands.convert.command import convert
from src.core.errors import CheckpointError, ConfigError
from src.models.backbones.carn_m import CARNM
from src.models.backbones.demosaicnet import DemosaicNet
from src.models.backbones.dncnn import DnCNN
from src.models.backbones.ffdnet import FFDNet
from src.models.backbones.fsrcnn import FSRCNN
from src.models.backbones.imdn import IMDN
from src.models.backbones.vdsr import VDSR
from src.weights.network_file import open_network
from tests.support.compose import compose_config
from tests.support.published import load_reference_weights, to_reference_weights

Weights = dict[str, Tensor]
NO_SITES = {"attention_sites": ()}

NETWORKS: dict[str, tuple[str, int | None, Callable[[], nn.Module]]] = {
    "dncnn": (
        "dncnn",
        None,
        lambda: DnCNN(1, 1, channels=8, blocks=3, batch_norm=False, **NO_SITES),
    ),
    "ffdnet": ("ffdnet", None, lambda: FFDNet(4, 3, channels=8, blocks=2, **NO_SITES)),
    "imdn": ("imdn", None, lambda: IMDN(scale=3, channels=16, blocks=3, **NO_SITES)),
    "vdsr": ("vdsr", None, lambda: VDSR(1, 1, channels=8, blocks=3, **NO_SITES)),
    "fsrcnn": (
        "fsrcnn",
        3,
        lambda: FSRCNN(scale=3, channels=4, outer_channels=6, blocks=2, **NO_SITES),
    ),
    **{
        f"carn_m ×{scale}": (
            "carn_m",
            None,
            lambda scale=scale: CARNM(scale=scale, channels=8, blocks=2, groups=2, **NO_SITES),
        )
        for scale in (2, 3, 4)
    },
    "demosaicnet": ("demosaicnet", None, lambda: DemosaicNet(channels=8, blocks=3, **NO_SITES)),
}


def weights_of(name: str) -> tuple[nn.Module, Weights]:
    """Return a network with numbers that no constructor gives, and its published state dict."""
    architecture, _, build = NETWORKS[name]
    net, generator = build(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return net.eval(), to_reference_weights(net, architecture)


@torch.no_grad()
def same_output(one: nn.Module, other: nn.Module) -> bool:
    image = torch.rand(1, int(one.in_channels), 6, 8, generator=torch.Generator().manual_seed(1))
    return torch.equal(one(image), other(image))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_is_rebuilt_from_the_tensors(name: str) -> None:
    architecture, scale, _ = NETWORKS[name]
    net, weights = weights_of(name)
    assert same_output(net, load_reference_weights(weights, architecture, scale))


@pytest.mark.parametrize("prefix", ["module.", "netG.", "module.netG."])
def test_prefixes_and_wrapping_of_trainers_are_taken_off(prefix: str, tmp_path: Path) -> None:
    net, weights = weights_of("imdn")
    prefixed = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
    saved = tmp_path / "net.pth"
    torch.save({"params": {"none": torch.zeros(1)}, "params_ema": prefixed}, saved)
    assert same_output(net, load_reference_weights(saved, "imdn"))


def several_scales() -> tuple[dict[int, nn.Module], Weights]:
    """Return CARN-M at ×2 and ×3 with one trunk, and the state dict that holds both."""
    nets = {scale: weights_of(f"carn_m ×{scale}")[0] for scale in (2, 3)}
    shared = {k: v for k, v in nets[2].state_dict().items() if not k.startswith("upsampler.")}
    nets[3].load_state_dict(shared, strict=False)
    together: Weights = {}
    for scale, net in nets.items():
        for name, tensor in to_reference_weights(net, "carn_m").items():
            together[name.replace("upsample.up.", f"upsample.up{scale}.")] = tensor
    return nets, together


def test_of_a_file_for_several_scales_the_chosen_one_is_taken() -> None:
    nets, together = several_scales()
    for scale, net in nets.items():
        assert same_output(net, load_reference_weights(together, "carn_m", scale))


@pytest.mark.parametrize(
    ("name", "architecture", "scale", "says"),
    [
        ("several", "carn_m", None, "add scale=2 or scale=3"),
        ("several", "carn_m", 4, "add scale=2 or scale=3, not scale=4"),
        ("fsrcnn", "fsrcnn", None, "do not tell the scale: add scale=2 or scale=3 or scale=4"),
        ("imdn", "imdn", 2, "they are of scale 3, not scale=2"),
        ("dncnn", "ffdnet", None, "takes four times its image channels and one noise level"),
        ("vdsr", "dncnn", None, "none is called model.<number>.weight"),
    ],
)
def test_what_the_tensors_do_not_tell_is_asked_for(
    name: str, architecture: str, scale: int | None, says: str
) -> None:
    weights = several_scales()[1] if name == "several" else weights_of(name)[1]
    with pytest.raises(CheckpointError, match=says):
        load_reference_weights(weights, architecture, scale)


def test_batch_normalisation_that_is_not_merged_is_named() -> None:
    _, weights = weights_of("dncnn")
    weights["model.3.weight"] = torch.zeros(8)
    with pytest.raises(CheckpointError, match=r"model.2, model.3.*merge it first"):
        load_reference_weights(weights, "dncnn")


def _convert(folder: Path, *words: str) -> Path:
    net, weights = weights_of("fsrcnn")
    torch.save(weights, folder / "net.pth")
    typed = (
        f"source={folder / 'net.pth'}",
        "architecture=fsrcnn",
        f"output={folder / 'n.safetensors'}",
    )
    convert(compose_config(*typed, *words, config_name="convert"))
    assert same_output(net, open_network(folder / "n.safetensors"))
    return folder


def test_the_command_takes_the_scale(tmp_path: Path) -> None:
    _convert(tmp_path, "scale=3")
    with pytest.raises(ConfigError, match=r"scale=\[2, 3\]: one file has one scale"):
        _convert(tmp_path, "scale=[2,3]", "overwrite=true")
