"""Files of lower precision and for OpenVINO."""

import importlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from src.commands.export.onnx_file import INPUT, quiet
from src.commands.export.price import Pair
from src.commands.export.program import Run, opened
from src.core.errors import ConfigError

PRECISIONS = ("fp32", "fp16", "int8")

ENDS = 2
"""Convolutions at each end of a network that stay in float32."""


def check_lowered(cfg: DictConfig, suffix: str) -> None:
    """Refuse a precision that cannot be made or judged; ConfigError says what is missing."""
    if cfg.precision not in PRECISIONS:
        raise ConfigError(f"precision={cfg.precision}: it is one of {', '.join(PRECISIONS)}.")
    if cfg.precision != "fp32" and suffix not in {".onnx", ".xml"}:
        raise ConfigError(f"precision={cfg.precision} needs output=….onnx or output=….xml.")
    if suffix == ".safetensors" and cfg.judged is not None:
        raise ConfigError("judged=… has nothing to judge in weights alone; leave it out.")
    _check_judged(cfg, suffix)


def _check_judged(cfg: DictConfig, suffix: str) -> None:
    if (cfg.precision != "fp32" or suffix == ".xml") and cfg.judged is None:
        raise ConfigError(
            f"precision={cfg.precision} as {suffix} is judged by dB: add judged=<folder of clean "
            "images that were not trained on>."
        )
    if cfg.precision == "int8" and cfg.calibration is None:
        raise ConfigError(
            "precision=int8 needs calibration=<folder of photographs>, best of the training set: "
            "they show the range of activations."
        )
    if cfg.precision != "int8" and cfg.calibration is not None:
        raise ConfigError("calibration=… is only for precision=int8; leave it out.")
    if cfg.max_loss_db is not None and math.isnan(cfg.max_loss_db):
        raise ConfigError("max_loss_db=nan allows nothing; give dB, or null for any loss.")


def lower(exact: Path, made: Path, precision: str, calibration: Sequence[Pair]) -> None:
    """Write the float32 .onnx file ``exact`` in another precision or for OpenVINO.

    Args:
        exact: From :func:`write_onnx`.
        made: Beside it, ending in .onnx or .xml, whose weights come in a .bin of the same name.
        precision: ``fp32``, ``fp16`` or ``int8``.
        calibration: For ``int8``: pairs whose inputs show the range of activations.

    Raises:
        ConfigError: If there is nothing to lower.
    """
    source = exact
    if precision == "int8":
        source = exact.with_name("int8.onnx")
        _quantize(exact, source, calibration)
    if made.suffix == ".xml":
        _write_openvino(source, made, half=precision == "fp16")
    elif precision == "fp16":
        onnx = importlib.import_module("onnx")
        half = importlib.import_module("onnxruntime.transformers.float16")
        onnx.save(half.convert_float_to_float16(onnx.load(exact), keep_io_types=True), made)
    else:
        source.replace(made)


class _Inputs:
    """What the quantizer reads, one image at a time."""

    def __init__(self, calibration: Sequence[Pair]) -> None:
        self._inputs = iter(calibration)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next input by name; None after the last."""
        pair = next(self._inputs, None)
        return None if pair is None else {INPUT: pair[0].numpy()}


def _quantize(exact: Path, made: Path, calibration: Sequence[Pair]) -> None:
    """Quantize convolutions to 8 bits, but two at each end, which cost most dB.

    Of each range the mean over the images counts: the widest one of all is that of a rare outlier,
    and its steps are coarser (0.14 in place of 0.07 dB for zoo/super_resolution_x2).
    """
    quantization = importlib.import_module("onnxruntime.quantization")
    graph = importlib.import_module("onnx").load(exact).graph
    names = [node.name for node in graph.node if node.op_type == "Conv"]
    if not names[ENDS:-ENDS]:
        raise ConfigError(
            f"precision=int8 is for convolutions, but the first and last {ENDS}, and this network "
            f"has {len(names)}. Take precision=fp16."
        )
    with quiet():
        quantization.quantize_static(
            exact,
            made,
            _Inputs(calibration),
            per_channel=True,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=names[:ENDS] + names[-ENDS:],
            activation_type=quantization.QuantType.QUInt8,
            extra_options={"CalibMovingAverage": True},
        )


def opened_lowered(path: Path) -> Run:
    """Return how to run a file of any suffix that :func:`opened` or OpenVINO knows."""
    if path.suffix != ".xml":
        return opened(path, path.suffix)
    options = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino().Core().compile_model(path, "CPU", options)
    return lambda degraded: torch.from_numpy(compiled(degraded.numpy())[0])


def _write_openvino(source: Path, made: Path, *, half: bool) -> None:
    """Write .xml and .bin, with what the .onnx file says of itself."""
    model = openvino().Core().read_model(source)
    for entry in importlib.import_module("onnx").load(source).metadata_props:
        model.set_rt_info(entry.value, ["exemplar", entry.key])
    openvino().save_model(model, made, compress_to_fp16=half)


def openvino() -> Any:  # noqa: ANN401
    """Return the package, kept from what it does when it is imported: tell Google Analytics.

    It does without its telemetry where that cannot be imported, so here it never can.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return importlib.import_module("openvino")
