"""Parameter counts of the comparison networks, as published.

Counts in full are those of the public weights or of the authors' code as others report them; each
rounds to the figure in print.
"""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from src.models.attention.transposed import TransposedAttention
from src.models.backbones.carn_m import CARNM
from src.models.backbones.demosaicnet import DemosaicNet
from src.models.backbones.dncnn import DnCNN
from src.models.backbones.ffdnet import FFDNet
from src.models.backbones.fsrcnn import FSRCNN
from src.models.backbones.imdn import IMDN
from src.models.backbones.nafnet import NAFNet
from src.models.backbones.rcan import RCAN
from src.models.backbones.restormer import Restormer
from src.models.backbones.swinir import SwinIR
from src.models.backbones.vdsr import VDSR

pytestmark = pytest.mark.parity

_GOPRO = {"blocks": (1, 1, 1, 28), "middle_blocks": 1, "decoder_blocks": (1, 1, 1, 1)}
_WITHOUT_BIAS = partial(TransposedAttention, centred=False)

COUNTS: list[tuple[str, Callable[[], nn.Module], int, str]] = [
    # name, network, count with frozen parameters, the figure in print
    ("rcan_x2", lambda: RCAN(scale=2), 15_444_667, "15.4 M, of the authors' code"),
    ("rcan_x3", lambda: RCAN(scale=3), 15_629_307, "15.6 M, the same"),
    ("rcan_x4", lambda: RCAN(scale=4), 15_592_379, "15.6 M, the same; 16 M in tables"),
    ("vdsr", lambda: VDSR(1, 1), 664_704, "665 K; its public weights"),
    ("dncnn_s", lambda: DnCNN(1, 1, batch_norm=False), 555_137, "its public weights"),
    ("cdncnn_b", lambda: DnCNN(blocks=18, batch_norm=False), 668_227, "its public weights"),
    ("ffdnet", FFDNet, 852_108, "its public weights"),
    ("ffdnet_grey", lambda: FFDNet(1, 1, channels=64, blocks=13), 485_316, "15 layers of 64"),
    ("imdn_x2", lambda: IMDN(scale=2), 694_404, "694 K, arXiv:1909.11856; its public weights"),
    ("imdn_x3", lambda: IMDN(scale=3), 703_059, "703 K, the same"),
    ("imdn_x4", lambda: IMDN(scale=4), 715_176, "715 K, the same"),
    ("fsrcnn", FSRCNN, 12_809, "its public weights; 12,464 in print, without PReLU and biases"),
    ("carn_m_x2", lambda: CARNM(scale=2), 257_051, "its public weights, of one scale"),
    ("demosaicnet", DemosaicNet, 560_886, "its public weights"),
    ("nafnet_32", NAFNet, 29_159_715, "29.16 M, the authors' SIDD network"),
    ("nafnet_64", lambda: NAFNet(channels=64), 115_982_915, "115.98 M, the same, wide"),
    ("nafnet_32_gopro", lambda: NAFNet(**_GOPRO), 17_111_907, "17.1 M, deblurring"),
    ("nafnet_64_gopro", lambda: NAFNet(channels=64, **_GOPRO), 67_888_835, "67.9 M, the same"),
    # The published count leaves out our frozen colour means, 24 numbers.
    ("swinir_x2", lambda: SwinIR(scale=2), 11_752_487 + 24, "11.8 M, arXiv:2108.10257"),
    ("swinir_x4", lambda: SwinIR(scale=4), 11_900_199 + 24, "11.9 M, the same"),
    ("swinir_denoise", lambda: SwinIR(scale=1), 11_504_163 + 24, "11.5 M, colour denoising"),
    ("restormer", Restormer, 26_126_644, "26.13 M, arXiv:2111.09881"),
    (
        "restormer_denoise",
        lambda: Restormer(centred=False, attention=_WITHOUT_BIAS),
        26_111_668,
        "26.1 M: the same without biases in the normalisations",
    ),
]


@pytest.mark.parametrize(("build", "count"), [c[1:3] for c in COUNTS], ids=[c[0] for c in COUNTS])
def test_the_parameter_count_is_the_published_one(
    build: Callable[[], nn.Module], count: int
) -> None:
    with torch.device("meta"):
        net = build()
    assert sum(parameter.numel() for parameter in net.parameters()) == count
