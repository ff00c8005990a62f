"""The loader of published weights: every layout and file format in, nothing wrong in silence."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from src.core.errors import CheckpointError
from src.models.attention.pyramid import PyramidAttention
from src.models.backbones.csnln import CSNLN
from src.models.backbones.edsr import EDSR
from src.models.backbones.panet import PANet
from tests.support.published import load_reference_weights, to_reference_weights

Weights = dict[str, Tensor]


def _damped_pyramid(channels: int) -> nn.Module:
    return PyramidAttention(channels, reduction=4, residual_scale=0.1)


NETWORKS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "panet": ("panet", lambda: PANet(channels=16, blocks=4)),
    "panet of one channel": ("panet", lambda: PANet(1, 1, channels=16, blocks=2)),
    "panet with own activations": (
        "panet",
        lambda: PANet(channels=8, blocks=2, shared_activation=False),
    ),
    **{
        f"pa_edsr ×{scale}": (
            "pa_edsr",
            lambda scale=scale: EDSR(scale=scale, channels=16, blocks=2, attention=_damped_pyramid),
        )
        for scale in (2, 3, 4)
    },
    **{
        f"csnln ×{scale}": ("csnln", lambda scale=scale: CSNLN(scale=scale, channels=8, depth=3))
        for scale in (2, 3, 4)
    },
}


def perturbed(net: nn.Module) -> nn.Module:
    """Give all numbers values that no constructor gives, so that a tensor left out is seen."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return net.eval()


def weights_of(name: str) -> tuple[nn.Module, Weights, str]:
    architecture, build = NETWORKS[name]
    net = perturbed(build())
    return net, to_reference_weights(net, architecture), architecture


def same_output(one: nn.Module, other: nn.Module) -> bool:
    image = torch.rand(1, int(one.in_channels), 6, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return torch.equal(one(image), other(image))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_is_rebuilt_from_the_tensors_alone(name: str) -> None:
    net, weights, architecture = weights_of(name)
    assert same_output(net, load_reference_weights(weights, architecture))


def _zip(weights: Weights, path: Path) -> None:
    torch.save(weights, path)


def _legacy(weights: Weights, path: Path) -> None:
    torch.save(weights, path, _use_new_zipfile_serialization=False)


def _safetensors(weights: Weights, path: Path) -> None:
    save_file({name: tensor.clone() for name, tensor in weights.items()}, path)


@pytest.mark.parametrize(
    ("write", "suffix"), [(_zip, ".pt"), (_legacy, ".pt"), (_safetensors, ".safetensors")]
)
def test_each_file_format_is_read(
    write: Callable[[Weights, Path], None], suffix: str, tmp_path: Path
) -> None:
    net, weights, architecture = weights_of("csnln ×2")
    path = tmp_path / f"model{suffix}"
    write(weights, path)
    assert same_output(net, load_reference_weights(path, architecture))


def _zeros(weights: Weights) -> Weights:
    return {name: torch.zeros_like(tensor) for name, tensor in weights.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: {"params": _zeros(w), "params_ema": w},
        lambda w: {"params": w},
        lambda w: {"state_dict": w, "epoch": 3},
        lambda w: {f"module.{name}": tensor for name, tensor in w.items()},
        lambda w: {"params": {f"module.{name}": tensor for name, tensor in w.items()}},
    ],
    ids=["the averaged before the raw", "params", "state_dict", "module.", "both"],
)
def test_wrapping_of_other_programs_is_taken_off(
    wrap: Callable[[Weights], dict[str, object]], tmp_path: Path
) -> None:
    net, weights, architecture = weights_of("panet")
    torch.save(wrap(weights), tmp_path / "model.pth")
    assert same_output(net, load_reference_weights(tmp_path / "model.pth", architecture))


@pytest.mark.parametrize("left_out", ["msa.", "body.1."])
def test_pa_edsr_needs_only_one_of_the_two_copies_of_its_attention(left_out: str) -> None:
    net, weights, architecture = weights_of("pa_edsr ×2")
    one_set = {name: w for name, w in weights.items() if not name.startswith(left_out)}
    assert len(one_set) == len(weights) - 10
    loaded = load_reference_weights(one_set, architecture)
    assert same_output(net, loaded)
    assert to_reference_weights(loaded, architecture).keys() == weights.keys()


def _without(weights: Weights, *starts: str) -> Weights:
    return {name: tensor for name, tensor in weights.items() if not name.startswith(starts)}


MISFITS: list[tuple[str, Callable[[Weights], Weights], tuple[str, ...]]] = [
    ("panet", lambda w: _without(w, "body.5."), ("4", "3 residual blocks", "even number")),
    ("panet", lambda w: _without(w, "body.0."), ("missing: body.0.body.0.weight 16×16×3×3",)),
    ("panet", lambda w: {**w, "extra": torch.zeros(2, 3)}, ("unexpected: extra 2×3",)),
    (
        "panet",
        lambda w: {**w, "tail.0.bias": torch.zeros(1)},
        ("mis-shaped: tail.0.bias is 1, must be 3",),
    ),
    (
        "panet",
        lambda w: {**w, "head.0.weight": torch.zeros(8, 3, 3, 3)},
        ("mis-shaped: head.0.bias is 16, must be 8", "mis-shaped: body.0.body.0.weight"),
    ),
    ("panet", lambda w: _without(w, "body."), ("body.<number>", "PANet")),
    ("panet", lambda w: _without(w, "head."), ("head.0.weight", "right architecture")),
    (
        "pa_edsr ×3",
        lambda w: {**w, "msa.conv_match.0.bias": torch.zeros(4)},
        ("contradictory: body.1.conv_match.0.bias", "msa.conv_match.0.bias", "one tensor"),
    ),
    (
        "pa_edsr ×2",
        lambda w: _without(w, "msa.conv_assembly", "body.1.conv_assembly"),
        ("missing: msa.conv_assembly.0.weight or body.1.conv_assembly.0.weight",),
    ),
    (
        "pa_edsr ×2",
        lambda w: {**w, "tail.0.0.weight": torch.zeros(80, 16, 3, 3)},
        ("tail.0.0.weight", "80", "4 or 9 times"),
    ),
    (
        "csnln ×2",
        lambda w: {**w, "tail.0.weight": torch.zeros(3, 20, 3, 3)},
        ("tail.0.weight", "20", "depth times the 8"),
    ),
    ("csnln ×4", lambda w: _without(w, "SEM.down_sample_4"), ("missing: SEM.down_sample_4.0",)),
    ("csnln ×3", lambda w: {**w, "head.0.0.weight": torch.zeros(8)}, ("no weight of a conv",)),
]


@pytest.mark.parametrize(("name", "spoil", "says"), MISFITS)
def test_tensors_that_do_not_fit_are_named(
    name: str, spoil: Callable[[Weights], Weights], says: tuple[str, ...]
) -> None:
    _, weights, architecture = weights_of(name)
    with pytest.raises(CheckpointError) as refusal:
        load_reference_weights(spoil(weights), architecture)
    for fragment in says:
        assert fragment in str(refusal.value)


@pytest.mark.parametrize("blocks", [2, 6])
def test_the_depth_is_that_of_the_file_and_no_block_is_left_as_initialised(blocks: int) -> None:
    """The authors' loader leaves surplus blocks as they were initialised, and says nothing."""
    net = perturbed(PANet(channels=8, blocks=blocks))
    loaded = load_reference_weights(to_reference_weights(net, "panet"), "panet")
    assert len(loaded.trunk) == blocks + 2
    assert same_output(net, loaded)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_truncated_file_is_refused(suffix: str, tmp_path: Path) -> None:
    _, weights, architecture = weights_of("panet")
    path = tmp_path / f"model{suffix}"
    (_zip if suffix == ".pt" else _safetensors)(weights, path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match="damaged or truncated"):
        load_reference_weights(path, architecture)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_missing_file_is_refused(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such"):
        load_reference_weights(tmp_path / f"model{suffix}", "panet")


class _Trap:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(
    tmp_path: Path, *, legacy: bool
) -> None:
    path, mark = tmp_path / "model.pt", tmp_path / "ran"
    content: dict[str, object] = {"head.0.weight": torch.zeros(2), "trap": _Trap(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="could run code"):
        load_reference_weights(path, "panet")
    assert not mark.exists()
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(_Trap(mark), protocol=2))
    with pytest.raises(CheckpointError):
        load_reference_weights(tmp_path / "bare.pt", "panet")
    assert not mark.exists()


def test_a_dictionary_without_tensors_is_refused_with_where_they_were_sought(
    tmp_path: Path,
) -> None:
    torch.save({"epoch": 3, "weights": [1.0]}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"epoch, weights are no tensors.*params_ema"):
        load_reference_weights(tmp_path / "model.pt", "panet")
    with pytest.raises(CheckpointError, match=r"its entries \(none\) are no tensors"):
        load_reference_weights({}, "panet")
