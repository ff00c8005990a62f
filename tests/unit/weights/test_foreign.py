"""Weights in MATLAB files, written here in the layout of MatConvNet's SimpleNN."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.errors import CheckpointError
from src.models.backbones.dncnn import DnCNN
from src.models.backbones.ffdnet import FFDNet
from tests.support.published import load_reference_weights


def convolutions(net: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions of a plain stack in the order of the data."""
    head, tail = net.get_submodule("head.0"), net.get_submodule("tail")
    trunk = net.get_submodule("trunk").modules()
    return [m for m in (head, *trunk, tail) if isinstance(m, nn.Conv2d)]


def cell(*items: object) -> np.ndarray:
    """Return a MATLAB cell of one row."""
    row = np.empty((1, len(items)), dtype=object)
    row[0, :] = items
    return row


def simple_nn(path: Path, layers: list[tuple[Tensor, Tensor]], *, shuffled: bool = False) -> Path:
    """Write convolutions with ReLUs between them as ``net.layers``."""
    written: list[dict[str, object]] = [{"type": "SubP", "scale": 0.5}] if shuffled else []
    for index, (weight, bias) in enumerate(layers):
        filters = weight.numpy().transpose(2, 3, 1, 0)
        filters = filters[..., 0] if len(weight) == 1 else filters  # as MATLAB does
        written.append({"type": "conv", "weights": cell(filters, bias.numpy()[:, None])})
        if index < len(layers) - 1:
            written.append({"type": "relu", "weights": np.empty((0, 0))})
    written += [{"type": "SubP", "scale": 2.0}] if shuffled else []
    savemat(path, {"net": {"layers": cell(*written)}})
    return path


def pairs(net: nn.Module) -> list[tuple[Tensor, Tensor]]:
    found = [(layer.weight.data, layer.bias) for layer in convolutions(net)]
    return [(weight, bias.data) for weight, bias in found if bias is not None]


@pytest.mark.parametrize("channels", [1, 3])
@torch.no_grad()
def test_dncnn_in_a_matlab_file_gives_the_same_image(channels: int, tmp_path: Path) -> None:
    net = DnCNN(channels, channels, channels=8, blocks=2, batch_norm=False)
    loaded = load_reference_weights(simple_nn(tmp_path / "net.mat", pairs(net)), "dncnn")
    image = torch.rand(2, channels, 9, 7)
    torch.testing.assert_close(loaded(image), net(image))


def column_by_column(image: Tensor) -> Tensor:
    """Return 2×2 pixels as channels as MATLAB's vl_nnSubP does: down the column first."""
    parts = [image[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    return torch.stack(parts, dim=2).flatten(1, 2)


@pytest.mark.parametrize("channels", [1, 3])
@torch.no_grad()
def test_ffdnet_in_a_matlab_file_works_as_it_does_in_matlab(channels: int, tmp_path: Path) -> None:
    sizes = [(4 * channels + 1, 8), (8, 8), (8, 4 * channels)]
    layers = [(torch.randn(o, i, 3, 3) / 9, torch.randn(o) / 9) for i, o in sizes]
    path = simple_nn(tmp_path / "net.mat", layers, shuffled=True)
    loaded = load_reference_weights(path, "ffdnet")
    assert isinstance(loaded, FFDNet)

    image, sigma = torch.rand(2, channels, 8, 6), torch.full((2, 1, 8, 6), 0.2)
    features = torch.cat([column_by_column(image), sigma[:, :, ::2, ::2]], dim=1)
    for index, (weight, bias) in enumerate(layers):
        features = F.conv2d(F.relu(features) if index else features, weight, bias, padding=1)
    expected = torch.empty_like(image)
    for offset in range(4):
        expected[:, :, offset % 2 :: 2, offset // 2 :: 2] = features[:, offset::4]
    torch.testing.assert_close(loaded(torch.cat([image, sigma], dim=1)), expected)


def matlab_73(path: Path, layers: list[tuple[str, list[np.ndarray]]]) -> Path:
    """Write ``net.layers`` as MATLAB 7.3 does: HDF5, axes reversed, cells by reference."""
    with h5py.File(path, "w", userblock_size=512) as file:

        def kept(array: np.ndarray) -> h5py.Reference:
            return file.create_dataset(
                f"#refs#/{len(file.require_group('#refs#'))}", data=array
            ).ref

        cells = []
        for kind, weights in layers:
            struct = file.create_group(f"#refs#/{len(file.require_group('#refs#'))}")
            struct["type"] = np.array([[ord(letter)] for letter in kind], dtype=np.uint16)
            references = np.array([[kept(part.T)] for part in weights], dtype=h5py.ref_dtype)
            if weights:
                struct.create_dataset("weights", data=references, dtype=h5py.ref_dtype)
            cells.append([struct.ref])
        group = file.create_group("net")
        group.create_dataset("layers", data=np.array(cells, h5py.ref_dtype), dtype=h5py.ref_dtype)
    with path.open("r+b") as head:
        head.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path


@pytest.mark.parametrize("given", [0, 1], ids=["blind", "told the noise level"])
@torch.no_grad()
def test_dncnn_of_version_73_with_batch_norms_gives_the_same_image(
    given: int, tmp_path: Path
) -> None:
    net = DnCNN(1 + given, 1, channels=8, blocks=2, batch_norm=True).eval()
    layers: list[tuple[str, list[np.ndarray]]] = []
    order = (net.get_submodule(name) for name in ("head", "trunk", "tail"))
    for module in (layer for part in order for layer in part.modules()):
        if isinstance(module, nn.Conv2d):
            filters = module.weight.numpy().transpose(2, 3, 1, 0)
            filters = filters[..., 0] if len(module.weight) == 1 else filters
            bias = np.zeros(len(module.weight)) if module.bias is None else module.bias.numpy()
            layers.append(("conv", [filters, bias[:, None]]))
        elif isinstance(module, nn.BatchNorm2d):
            for part in (module.running_mean, module.running_var, module.weight, module.bias):
                assert part is not None
                part.uniform_(0.5, 1.5)
            assert module.running_mean is not None
            assert module.running_var is not None
            moments = torch.stack(
                [module.running_mean, (module.running_var + module.eps).sqrt()], dim=1
            )
            parts = (module.weight[:, None], module.bias[:, None], moments)
            layers.append(("bnorm", [part.numpy() for part in parts]))
        elif isinstance(module, nn.ReLU):
            layers.append(("relu", []))
    loaded = load_reference_weights(matlab_73(tmp_path / "net.mat", layers), "dncnn")
    image = torch.rand(2, 1 + given, 9, 7)
    torch.testing.assert_close(loaded(image), net(image))


def test_a_stack_told_the_noise_level_returns_the_image_itself() -> None:
    net = DnCNN(2, 1, channels=4, blocks=1, batch_norm=False)
    for part in net.parameters():
        nn.init.zeros_(part)
    assert not net(torch.rand(1, 2, 8, 8)).any()


def _no_net(path: Path) -> None:
    savemat(path, {"other": 1})


def _no_layers(path: Path) -> None:
    savemat(path, {"net": {"meta": 1}})


def _normalised(path: Path) -> None:
    conv = {"type": "conv", "weights": cell(np.zeros((3, 3, 1, 4)), np.zeros(4))}
    norm = {"type": "bnorm", "weights": cell(np.zeros(4), np.zeros(4))}
    savemat(path, {"net": {"layers": cell(norm, conv)}})


def _hdf5(path: Path) -> None:
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF" + bytes(600))


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (_no_net, "no network of MatConvNet"),
        (_no_layers, "no network of MatConvNet"),
        (_normalised, "batch normalisation follows nothing, no conv"),
        (_hdf5, "damaged or no MATLAB file"),
        (lambda path: path.write_text("hello"), "damaged or no MATLAB file"),
        (lambda path: path.write_bytes(b""), "damaged or no MATLAB file"),
        (lambda path: None, "there is no such file"),
    ],
)
def test_other_files_are_refused_with_the_reason(
    write: Callable[[Path], object], says: str, tmp_path: Path
) -> None:
    write(tmp_path / "net.mat")
    with pytest.raises(CheckpointError, match=says):
        load_reference_weights(tmp_path / "net.mat", "dncnn")
