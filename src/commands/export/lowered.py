"""Files of lower precision, and what they cost in seconds, differences and dB."""

import importlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from src.app.inference import task_of
from src.commands.export.onnx_file import INPUT, onnx_session, run_onnx
from src.commands.export.program import Run
from src.core.errors import ConfigError, need
from src.core.paths import from_root
from src.core.seeding import generator_for
from src.data.image_io import read_image
from src.data.source import ImageFolder
from src.inference.portable import PortableNet
from src.inference.precision import psnr_between
from src.weights.checkpoint import Checkpoint

PRECISIONS = ("fp32", "fp16", "int8")
PHOTOGRAPHS = 8
"""How many images of a folder are looked at."""

SIDE = 192
"""Of the middle that is taken of each, in pixels; a multiple of 2, 3, 4 and 8."""

USUAL = {
    "denoise": {"_target_": "src.degradations.gaussian.GaussianNoise", "sigma": [25, 25]},
    "dejpeg": {"_target_": "src.degradations.jpeg.Jpeg", "quality": [40, 40]},
    "demosaic": {"_target_": "src.degradations.mosaic.Mosaic"},
    "superresolution": {"_target_": "src.degradations.bicubic.Bicubic"},
}
"""Task of a network alone → the degradation by which it is judged."""

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Price:
    """What a file costs beside the live network."""

    loss_db: float
    difference: float  # largest, on the scale [0, 1]
    megapixels_per_second: float  # of restored pixels
    live_megapixels_per_second: float

    def __str__(self) -> str:
        speed, live = self.megapixels_per_second, self.live_megapixels_per_second
        return (
            f"{self.loss_db:+.3f} dB lost, at most {self.difference:.1e} from the live network, "
            f"{speed:.3g} megapixels/s (live {live:.3g})"
        )


def pairs(folder: str, checkpoint: Checkpoint, net: PortableNet) -> list[Pair]:
    """Return (degraded, clean) of the middles of the first photographs of a folder.

    Raises:
        ConfigError: If nothing says how they are degraded for this network.
    """
    degradation = _degradation(checkpoint, net.scale)
    made = []
    for key, path in list(ImageFolder(from_root(folder)).files().items())[:PHOTOGRAPHS]:
        pixels = torch.from_numpy(read_image(path, channels=net.out_channels))
        clean = pixels.permute(2, 0, 1)[None].float() / 255
        height, width = (min(side, SIDE) // 24 * 24 for side in clean.shape[-2:])
        top, left = (
            (s - cut) // 2 for s, cut in zip(clean.shape[-2:], (height, width), strict=True)
        )
        clean = clean[..., top : top + height, left : left + width]
        degraded: Tensor = degradation(clean, generator_for("cpu", "export", key))
        made.append((degraded.float(), clean))
    return made


def _degradation(checkpoint: Checkpoint, scale: int) -> nn.Module:
    node: Any = checkpoint.config.get("degradation")
    if node is None:
        node = next((n for task, n in USUAL.items() if task_of(checkpoint).startswith(task)), None)
    if node is None:
        raise ConfigError(
            f"{checkpoint.path} does not say what it restores, and precision=… is judged by that: "
            "export the run folder or its .ckpt, or a network of the zoo."
        )
    more = {"scale": scale} if scale > 1 and "scale" not in node else {}
    built: nn.Module = instantiate(node, **more, _convert_="all")
    return built.eval()


def price(file: Run, net: PortableNet, judged: Sequence[Pair]) -> Price:
    """Run file and network over the pairs, in turn, and compare."""
    losses, largest, seconds, pixels = [], 0.0, [0.0, 0.0], 0
    for degraded, clean in judged:
        made = []
        for index, run in enumerate((file, net)):
            start = time.perf_counter()
            with torch.no_grad():
                made.append(run(degraded))
            seconds[index] += time.perf_counter() - start
        pixels += clean.shape[-2] * clean.shape[-1]
        scores = [psnr_between((one.clamp(0, 1) * 255).round() / 255, clean) for one in made]
        losses.append(scores[1] - scores[0])
        largest = max(largest, float((made[0] - made[1]).abs().max()))
    speeds = [pixels / 1e6 / each for each in seconds]
    return Price(sum(losses) / len(losses), largest, *speeds)


def lower(source: Path, target: Path, precision: str, calibration: Sequence[Pair]) -> None:
    """Write the float32 .onnx file ``source`` as ``target`` in another precision or format.

    Args:
        source: From :func:`write_onnx`.
        target: Of the suffix .onnx, or .xml for OpenVINO, whose weights come beside it as .bin.
        precision: ``fp32``, ``fp16`` or ``int8``.
        calibration: For ``int8``: pairs whose degraded images show the range of activations.
    """
    made = source.with_name("lowered.onnx")
    if precision == "int8":
        _quantize(source, made, calibration)
    elif precision == "fp16" and target.suffix == ".onnx":
        onnx = importlib.import_module("onnx")
        half = importlib.import_module("onnxruntime.transformers.float16")
        onnx.save(half.convert_float_to_float16(onnx.load(source), keep_io_types=True), made)
    else:
        made = source
    if target.suffix == ".xml":
        openvino = importlib.import_module("openvino")
        model = openvino.Core().read_model(made)
        openvino.save_model(model, target, compress_to_fp16=precision == "fp16")
    else:
        made.replace(target)


def _quantize(source: Path, target: Path, calibration: Sequence[Pair]) -> None:
    """Quantize convolutions to 8 bits, but the first and the last, which cost most dB."""
    onnx = importlib.import_module("onnx")
    quantization = importlib.import_module("onnxruntime.quantization")
    nodes = [node.name for node in onnx.load(source).graph.node if node.op_type == "Conv"]

    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined,misc]
        images: Iterator[Tensor] = iter([degraded for degraded, _ in calibration])

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.images, None)
            return None if image is None else {INPUT: image.numpy()}

    quantization.quantize_static(
        source,
        target,
        Reader(),
        per_channel=True,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=[*nodes[:1], *nodes[-1:]],
        activation_type=quantization.QuantType.QUInt8,
    )


def opened_lowered(path: Path) -> Run:
    """Return how to run an .onnx or .xml file."""
    if path.suffix == ".onnx":
        session = onnx_session(path)
        return lambda degraded: run_onnx(session, degraded)
    core = importlib.import_module("openvino").Core()
    threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(str(path), "CPU", threads)
    return lambda degraded: torch.from_numpy(compiled(degraded.numpy())[0])


def check_lowered(cfg: DictConfig, suffix: str) -> None:
    """Refuse a precision that cannot be made or judged.

    Raises:
        ConfigError: Saying what is missing.
    """
    if cfg.precision not in PRECISIONS:
        raise ConfigError(f"precision={cfg.precision}: it is one of {', '.join(PRECISIONS)}.")
    if suffix == ".xml":
        need("openvino", extra="openvino", asked="output=….xml")
    elif cfg.precision != "fp32" and suffix != ".onnx":
        raise ConfigError(f"precision={cfg.precision} needs output=….onnx or output=….xml.")
    if (cfg.precision != "fp32" or suffix == ".xml") and cfg.judged is None:
        raise ConfigError(
            f"precision={cfg.precision} as {suffix} is judged by dB: add judged=<folder of clean "
            "images that were not trained on>."
        )
    if cfg.precision == "int8" and cfg.calibration is None:
        raise ConfigError("precision=int8 needs calibration=<folder of photographs>.")
