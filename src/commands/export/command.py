"""Export: a network of ours in, a file that runs without this project out."""

import json
import shlex
import shutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import nn

from src.app.build import plain
from src.commands.export.lowered import check_lowered, lower, opened_lowered
from src.commands.export.onnx_file import need_packages, write_onnx
from src.commands.export.price import pairs, price
from src.commands.export.program import Size, differences, opened, save, sizes_of, trace
from src.core.console import make_console
from src.core.errors import CheckpointError, ConfigError, MismatchError
from src.core.files import replacing
from src.core.origin import origin
from src.core.paths import from_root
from src.inference.portable import PortableNet, multiples
from src.weights.checkpoint import Checkpoint, network_of, open_checkpoint
from src.weights.network_file import write_network

SUFFIXES = (".pt2", ".onnx", ".xml", ".safetensors")
RUNNER = Path(__file__).with_name("run_onnx.py")


def export(cfg: DictConfig) -> float:
    """Write the network of ``cfg.checkpoint`` to ``cfg.output``.

    Returns:
        The largest difference from the live network that was found, on the scale [0, 1].

    Raises:
        ConfigError: If the output has no known suffix, or the network cannot be traced as asked.
        CheckpointError: If the checkpoint is unusable, or the output exists or cannot be written.
        MismatchError: If the file does not compute what the network does, or loses more dB than
            ``cfg.max_loss_db``; it is not kept.
    """
    output = from_root(str(cfg.output))
    if output.suffix not in SUFFIXES:
        raise ConfigError(f"output={cfg.output} must end in {', '.join(SUFFIXES)}.")
    for path in _parts(output):
        if path.exists() and not cfg.overwrite:
            raise CheckpointError(f"{path} exists already; set overwrite=true or another output.")
    check_lowered(cfg, output.suffix)
    need_packages(output.suffix)
    checkpoint = open_checkpoint(cfg.checkpoint)
    OmegaConf.resolve(checkpoint.config)
    net = network_of(checkpoint).requires_grad_(False)

    console = make_console()
    console.print(f"{type(net).__name__} of {checkpoint.path}")
    try:
        if output.suffix == ".safetensors":
            model = plain(checkpoint.config.model)
            write_network(output, net.state_dict(), model, _about(checkpoint))
            difference = 0.0
        elif cfg.judged is not None:
            difference = _write_judged(net, checkpoint, output, cfg, console)
        else:
            difference = _write_program(net, checkpoint, output, cfg, console)[0]
    except OSError as error:
        raise CheckpointError(
            f"{output} cannot be written: {error}. Make room or choose another output."
        ) from error
    if output.suffix == ".onnx":
        words = shlex.join(["python", str(RUNNER), str(output), "in.jpg", "out.png"])
        console.print(f"without torch: {words}")
    console.print(f"{output}, {megabytes(output):.2f} MB")
    return difference


def megabytes(output: Path) -> float:
    """Return the size of a file, and of its weights where they are a file of their own."""
    return sum(part.stat().st_size for part in _parts(output)) / 1e6


def _parts(output: Path) -> list[Path]:
    return [output, output.with_suffix(".bin")] if output.suffix == ".xml" else [output]


def _write_program(
    net: nn.Module, checkpoint: Checkpoint, output: Path, cfg: DictConfig, console: Console
) -> tuple[float, PortableNet]:
    """Trace, write and compare; where that fails for a block that pads, at a larger multiple."""
    tried = multiples(net) if cfg.size == "any" else [int(getattr(net, "multiple_of", 1))]
    for multiple in tried[:-1]:
        try:
            return _write_checked(PortableNet(net, multiple), checkpoint, output, cfg, console)
        except ConfigError as error:
            console.print(f"{error} Tried next: larger multiples.")
    return _write_checked(PortableNet(net, tried[-1]), checkpoint, output, cfg, console)


def _write_judged(
    net: nn.Module, checkpoint: Checkpoint, output: Path, cfg: DictConfig, console: Console
) -> float:
    """Write what is asked for beside the output, and keep it if it loses little enough."""
    outside = PortableNet(net, 1)  # images are read before the minutes of tracing
    pairs_of = partial(pairs, checkpoint=checkpoint, net=outside, size=cfg.size)
    judged = pairs_of(cfg.judged)
    seen = pairs_of(cfg.calibration, calibrating=True) if cfg.precision == "int8" else []
    with TemporaryDirectory() as folder, ExitStack() as written:
        # Both are whole before either takes its place, the .xml last; a folder that cannot be
        # written is found before the tracing.
        parts = [written.enter_context(replacing(part)) for part in _parts(output)]
        for part in parts:
            part.touch()
        made = Path(folder) / output.name
        lowered = cfg.precision != "fp32" or output.suffix == ".xml"
        exact = made.with_name("exact.onnx") if lowered else made
        _, portable = _write_program(net, checkpoint, exact, cfg, console)
        if lowered:
            lower(exact, made, cfg.precision, seen)
        cost = price(opened_lowered(made), portable, judged)
        console.print(f"{cfg.precision}, {len(judged)} images of {cfg.judged}: {cost}")
        if cfg.max_loss_db is not None and not cost.loss_db <= cfg.max_loss_db:
            raise MismatchError(
                f"precision={cfg.precision} loses {cost.loss_db:.3f} dB on {cfg.judged}, and "
                f"max_loss_db={cfg.max_loss_db}. Nothing was written; take another precision, "
                + "photographs like those of the training for calibration=…, " * bool(seen)
                + "or max_loss_db=null."
            )
        for part in parts:
            shutil.copyfile(made.with_suffix(part.suffix), part)
    return cost.difference


def _write_checked(
    net: PortableNet, checkpoint: Checkpoint, output: Path, cfg: DictConfig, console: Console
) -> tuple[float, PortableNet]:
    size: Size = "any" if cfg.size == "any" else list(cfg.size)
    sizes = sizes_of(size, [list(pair) for pair in cfg.check], net.least)
    console.print(f"tracing {_in_words(size, net)}; large networks take minutes")
    with replacing(output) as temporary:
        temporary.touch()  # a folder that cannot be written is found before the tracing
        _write(net, size, temporary, _about(checkpoint, net, size))
        largest = differences(opened(temporary, output.suffix), net, sizes, cfg.tolerance)
    for (height, width), difference in largest.items():
        console.print(f"{height}×{width}: at most {difference:.1e} from the live network")
    return max(largest.values()), net


def _write(net: PortableNet, size: Size, path: Path, about: dict[str, Any]) -> None:
    program = trace(net, size)
    if path.suffix == ".onnx":
        write_onnx(program, path, {key: json.dumps(value) for key, value in about.items()})
    else:
        save(program, path, about)


def _about(
    checkpoint: Checkpoint, net: PortableNet | None = None, size: Size = "any"
) -> dict[str, Any]:
    """Return what the file says of itself, plain."""
    about = {**origin(), "checkpoint": checkpoint.path.name, "step": checkpoint.step}
    if "task" in checkpoint.config:  # what it was trained for: predict treats mosaics apart
        about["task"] = str(checkpoint.config.task["_target_"]).rpartition(".")[2]
    if net is None:
        return about
    return {
        **about,
        "model": plain(checkpoint.config.model),
        "input": f"float32 (batch, {net.in_channels}, height, width) in [0, 1]",
        "output": f"float32 (batch, {net.out_channels}, {net.scale}·height, {net.scale}·width)",
        "size": size if size == "any" else list(size),
        "least_side": net.least,
        "padded_to": net.multiple,
        "scale": net.scale,
    }


def _in_words(size: Size, net: PortableNet) -> str:
    sides = f"any size from {net.least} pixels" if size == "any" else f"{size[0]}×{size[1]} pixels"
    return sides + (f", mirrored to multiples of {net.multiple}" if net.multiple > 1 else "")
