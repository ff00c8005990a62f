"""The traced program as ONNX, and its run; both need the extra ``export``."""

import importlib
import io
import logging
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from src.core.errors import ConfigError, need

INPUT, OUTPUT = "degraded", "restored"
SIDES = ("height", "width")


def need_packages(suffix: str) -> None:
    """Refuse .onnx, and .xml, which is made of it, where a package for it is missing.

    Raises:
        ConfigError: Saying how to install it.
    """
    by_onnx = ("onnx", "onnxscript", "onnxruntime")
    needed = {".onnx": ("export", by_onnx), ".xml": ("openvino", ("openvino", *by_onnx))}
    extra, packages = needed.get(suffix, ("", ()))
    for package in packages:
        need(package, extra=extra, asked=f"output=….{suffix[1:]}")


def write_onnx(program: ExportedProgram, path: Path, about: Mapping[str, str]) -> None:
    """Write the program with ``about`` among its metadata, weights in the same file.

    Raises:
        ConfigError: If ONNX lacks one of the network's operators.
    """
    try:
        with quiet():
            made = torch.onnx.export(
                program,
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
                custom_translation_table=_exact_sizes(),
            )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"The network has no form in ONNX: {reason} Write output=….pt2 instead."
        ) from error
    if made is None:
        raise TypeError("torch.onnx.export(dynamo=True) returned no program")
    _name_axes(made.model)
    made.model.metadata_props.update(about)
    made.save(path, external_data=False)


def onnx_session(path: Path) -> Any:  # noqa: ANN401
    """Return a session of onnxruntime on the CPU, with as many threads as torch has."""
    runtime = importlib.import_module("onnxruntime")
    runtime.disable_telemetry_events()  # only builds for Windows have any
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run_onnx(session: Any, degraded: Tensor) -> Tensor:  # noqa: ANN401
    """Return what a session makes of (B, C, H, W); ConfigError if it holds for other sizes.

    A trace that takes for granted what is not so of these sizes has no guard here, and fails in
    one of its operators.
    """
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    try:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: degraded.numpy()})[0])
    except (state.Fail, state.InvalidArgument, state.RuntimeException) as error:
        if "allocate" in str(error):  # memory has run out
            raise
        reason = " ".join(str(error).split()).rpartition("Status Message: ")[2]
        raise ConfigError(
            f"A trace of this network does not hold at {'×'.join(map(str, degraded.shape[-2:]))} "
            f"pixels ({reason}). Ask for one size, that of your tiles, e.g. size=[256,256]."
        ) from error


def _exact_sizes() -> dict[Callable[..., object], Callable[..., object]]:
    """Return translations that work sizes out in double precision, as Python does.

    The exporter's own are in single precision, in which 90 · 0.7 is 63 and not a little less: that
    level of a pyramid would be a row too high.
    """
    ops = importlib.import_module("onnxscript").opset18
    ir = importlib.import_module("onnx_ir")
    double = ir.DataType.DOUBLE

    def sym_float(size: object) -> object:
        return ops.Cast(size, to=double)

    def times(size: object, factor: object) -> object:
        if isinstance(factor, float):
            factor = ops.Constant(value=ir.tensor(factor, dtype=double))
        return ops.Mul(size, factor)

    return {torch.sym_float: sym_float, operator.mul: times}


def _name_axes(model: Any) -> None:  # noqa: ANN401
    """Call the free axes of input and output by what they are, not by the tracer's numbers."""
    shapes = importlib.import_module("onnx_ir").Shape
    given, made = model.graph.inputs[0], model.graph.outputs[0]
    free = [not isinstance(side, int) for side in given.shape]
    enlarged = ["batch", made.shape[1], "restored_height", "restored_width"]
    named = ["batch", given.shape[1], *SIDES]
    for value, names in ((given, named), (made, enlarged)):
        axes = zip(value.shape, names, free, strict=True)
        value.shape = shapes([name if is_free else side for side, name, is_free in axes])


@contextmanager
def quiet() -> Iterator[None]:
    """Silence exporter and quantizer, which greet, advise and warn on every channel there is."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
