"""A signal that comes while the process is writing."""

import io
import logging
import signal
import time
from collections.abc import Iterator

import pytest
from lightning import LightningModule, Trainer

from src.training.callbacks.stopping import GracefulStop


class Interrupted(io.RawIOBase):
    """A terminal at which Ctrl-C is typed while the first line is being written to it."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        first = not self.lines
        self.lines.append(bytes(data))
        if first:
            signal.raise_signal(signal.SIGINT)
        return len(data)


@pytest.fixture
def stop() -> Iterator[GracefulStop]:
    callback = GracefulStop()
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    callback.on_train_start(trainer, LightningModule())
    yield callback
    callback.teardown(trainer, LightningModule(), "fit")


def test_a_signal_within_a_write_is_noted_and_said(stop: GracefulStop) -> None:
    terminal = Interrupted()
    stream = io.TextIOWrapper(io.BufferedWriter(terminal), line_buffering=True)
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("src.training.callbacks.stopping")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        stream.write("step 4 of 100\n")
        end = time.monotonic() + 5
        while len(terminal.lines) < 2 and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert terminal.lines[0] == b"step 4 of 100\n"
    assert b"Stopping after this step" in terminal.lines[1], terminal.lines
