"""What a user is told of errors that come from torch or the system."""

import errno
import multiprocessing
import subprocess
import sys

import pytest
import torch

from src.app.processes.user_errors import as_user_error, shortages_said
from src.core.errors import ExemplarError
from src.core.paths import ROOT


def test_torchs_own_error_of_a_full_memory_becomes_advice() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**52, dtype=torch.uint8)
    assert "Out of memory" in str(as_user_error(raised.value))
    assert "Lower data.batch_size" in str(as_user_error(raised.value))


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_other_errors_of_memory_do_too(error: Exception) -> None:
    assert "Out of memory" in str(as_user_error(error))


def test_a_loader_that_ends_while_it_hands_a_batch_over_becomes_advice() -> None:
    ours, its = multiprocessing.Pipe()
    its.close()
    with pytest.raises(EOFError) as raised:
        ours.recv()
    assert "A loader process is gone" in str(as_user_error(raised.value))
    assert as_user_error(EOFError("another")) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_cannot_be_written_is_named(number: int) -> None:
    said = str(as_user_error(OSError(number, "no", "/disk/file")))
    assert said.startswith("/disk/file: no; ")
    assert "paths.output_root" in said


@pytest.mark.parametrize("error", [ZeroDivisionError(), RuntimeError("a fault"), KeyError("x")])
def test_a_fault_of_the_program_stays_one(error: Exception) -> None:
    assert as_user_error(error) is None


def test_a_disk_behind_another_error_is_named() -> None:
    """As where Hydra cannot open its log file, which logging reports as ValueError."""
    cause = OSError(errno.EROFS, "Read-only file system", "/run/train.log")
    with pytest.raises(ExemplarError, match=r"/run/train\.log: Read-only"), shortages_said():
        raise ValueError("Unable to configure handler 'file'") from cause
    with pytest.raises(ValueError, match="another"), shortages_said():
        raise ValueError("another")


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, src.app.processes.user_errors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
