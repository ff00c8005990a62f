"""What a user is told of errors that come from torch or the system."""

import errno
import multiprocessing
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.callbacks import EarlyStopping

from src.app.processes import user_errors
from src.app.processes.user_errors import as_user_error, shortage_behind, whose_code
from src.core.files import write_json
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
    error = ValueError("Unable to configure handler 'file'")
    error.__cause__ = cause
    assert "/run/train.log: Read-only" in str(shortage_behind(error))
    assert shortage_behind(ValueError("another")) is None


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, src.app.processes.user_errors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("train", "Lower data.batch_size"),
        ("predict", "smaller tiles"),
        ("evaluate", "smaller tiles"),
    ],
)
def test_what_helps_where_memory_is_short_depends_on_the_command(
    command: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_errors, "_command", lambda: command)
    assert says in str(as_user_error(MemoryError()))


def test_a_number_that_no_part_can_be_built_with_is_named() -> None:
    with pytest.raises(InstantiationException) as raised:
        instantiate({"model": {"_target_": "torch.nn.Conv2d", "in_channels": -3,
                               "out_channels": 1, "kernel_size": 1}})  # fmt: skip
    assert str(as_user_error(raised.value)).startswith("model cannot be built: ")


def _raised(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError


def test_whose_code_has_failed_is_said_of_parts_that_are_not_ours(tmp_path: Path) -> None:
    named = "lightning.pytorch.callbacks.EarlyStopping"
    config = {"callbacks": {"stop": {"_target_": named}}, "data": {"benchmarks": [1]}}
    stop = EarlyStopping("val/psnr")
    stopped = _raised(lambda: stop._validate_condition_metric({}))
    assert whose_code(stopped, config) == f"callbacks.stop ({named})"

    own = tmp_path / "mine.py"
    own.write_text("def f(image):\n    return image.nothing\n")
    space = runpy.run_path(str(own))
    assert whose_code(_raised(lambda: space["f"](1)), config) == f"{own}, line 2"


def test_a_part_of_ones_own_that_cannot_be_built_is_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_part.py").write_text("def build():\n    return None.nothing\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = {"model": {"_target_": "own_part.build"}}
    failed = _raised(lambda: instantiate(config["model"]))
    assert isinstance(failed, InstantiationException)
    assert whose_code(failed, config) == "model (own_part.build)"


def test_an_error_of_this_program_is_nobody_elses(tmp_path: Path) -> None:
    fault = _raised(lambda: write_json(tmp_path / "a.json", {1, 2}))
    assert whose_code(fault, {"optimizer": {"_target_": "torch.optim.Adam"}}) is None


@pytest.mark.parametrize(
    ("node", "known"),
    [
        ({"_target_": "torch.nn.ReLU", "_args_": [False], "inplace": True}, True),
        ({"_target_": "torch.nn.Linear", "in_features": "two", "out_features": 2}, False),
    ],
    ids=["the call is refused", "something in it fails"],
)
def test_arguments_that_python_refuses_are_the_users_to_mend(
    node: dict[str, object], *, known: bool
) -> None:
    with pytest.raises(InstantiationException) as raised:
        instantiate(node)
    said = as_user_error(raised.value)
    assert (said is not None and "multiple values for argument" in str(said)) is known


def test_a_component_that_cannot_be_imported_is_the_users_to_mend() -> None:
    with pytest.raises(InstantiationException) as caught:
        instantiate({"_target_": "mynet.MyNet"})
    said = str(as_user_error(caught.value))
    assert "mynet.MyNet cannot be imported here: No module named 'mynet'" in said
    assert "PYTHONPATH" in said
