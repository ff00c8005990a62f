"""What a command line of `src.predict` means: where images come from and results go."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig, ListConfig

from src.app.processes.process import refuse_closed_output
from src.core.errors import ConfigError, DataError, ImageFileError
from src.core.paths import from_root
from src.weights.zoo import result_ending

STREAM = "-"
"""Of ``input`` and ``output``: standard input and output."""


@dataclass(frozen=True)
class Request:
    """Where images come from, and where results go."""

    # Files, folders and globs; none where the image comes from standard input.
    inputs: tuple[str, ...]
    output: Path | None  # a folder or a file; None is beside each source
    ending: str  # of names beside a source
    to_stdout: bool  # whether the result goes to standard output


def read_request(cfg: DictConfig) -> Request:
    """Return what ``cfg`` asks for.

    Raises:
        ConfigError: If several networks are named, or a stream goes with several images.
    """
    if not isinstance(cfg.checkpoint, str):
        raise ConfigError(f"checkpoint={cfg.checkpoint} is several; images go through one network.")
    inputs = [str(one) for one in cfg.input] if isinstance(cfg.input, ListConfig) else [cfg.input]
    streamed = STREAM in map(str, inputs)
    if streamed and len(inputs) > 1:
        raise ConfigError("input=- is one image, from standard input; give files without it.")
    if streamed and cfg.output is None:
        raise ConfigError(
            "input=- has no name: add output=<file>, or output=- for standard output."
        )
    to_stdout = cfg.output == STREAM
    if to_stdout and not streamed:
        raise ConfigError("output=- goes with input=-; for files give a folder or a file.")
    if to_stdout and cfg.compare:
        raise ConfigError("compare=true makes a second image, and output=- is one: give a file.")
    return Request(
        inputs=() if streamed else tuple(map(str, inputs)),
        output=None if cfg.output is None or to_stdout else from_root(cfg.output),
        ending=result_ending(cfg.checkpoint),
        to_stdout=to_stdout,
    )


@contextmanager
def streams(request: Request) -> Iterator[Request]:
    """Yield the request with files in place of standard input and output, and pass them on.

    Raises:
        DataError: If nothing came, or standard output is closed.
    """
    if request.to_stdout:
        refuse_closed_output()
    if request.inputs:
        yield request
        return
    with TemporaryDirectory() as name:
        source, results = Path(name, "standard_input"), Path(name, "results")
        source.write_bytes(sys.stdin.buffer.read())
        if not source.stat().st_size:
            raise DataError("input=-: nothing came from standard input.")
        output = results if request.to_stdout else request.output
        try:
            yield replace(request, inputs=(str(source),), output=output)
        except (DataError, ImageFileError) as error:
            raise DataError(str(error).replace(str(source), "standard input")) from error
        for result in results.glob("*") if request.to_stdout else ():
            sys.stdout.buffer.write(result.read_bytes())
            sys.stdout.buffer.flush()
