import errno
import os
import pickle
import subprocess
import sys
import zipfile
from itertools import product
from pathlib import Path

import pytest
import torch

from src.core.errors import CheckpointError, DataError
from src.core.files import remove_leftovers, replacing
from src.core.locks import OwnFolder
from src.core.paths import ROOT
from src.training.callbacks.checkpoint import AtomicCheckpointIO
from src.weights.checkpoint_file import check_whole, read, set_aside


class Mark:
    """Writes a file when it is unpickled, as hostile code would do worse."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


def _save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    content = {"state_dict": {"a": torch.arange(3)}, "step": 3, "names": ["x"]}
    AtomicCheckpointIO().save_checkpoint(content, tmp_path / "deep/last.ckpt")
    loaded = read(tmp_path / "deep/last.ckpt")
    assert torch.equal(loaded.pop("state_dict")["a"], torch.arange(3))
    assert loaded == {"step": 3, "names": ["x"]}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["last.ckpt"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.ckpt: there is no such checkpoint"):
        read(tmp_path / "gone.ckpt")


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    path = _save(tmp_path / "cut.ckpt", {"a": torch.rand(1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(CheckpointError, match=r"cut\.ckpt: (damaged|refused)"):
        read(path)


@pytest.mark.parametrize("content", [b"hello", b"\x00" * 5000, b"PK\x03\x04" + b"x" * 99])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.ckpt: (damaged|refused)"):
        read(tmp_path / "x.ckpt")


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_does_not_run(tmp_path: Path, zipped: bool) -> None:
    path, mark = tmp_path / "bad.ckpt", tmp_path / "ran"
    if zipped:
        _save(path, {"a": Mark(mark)})
    else:
        path.write_bytes(pickle.dumps({"a": Mark(mark)}, protocol=2))
    with pytest.raises(CheckpointError, match="refused, because loading it could run code"):
        read(path)
    assert not mark.exists()
    torch.load(path, weights_only=False) if zipped else pickle.loads(path.read_bytes())  # noqa: S301
    assert mark.exists()  # the same file does run code elsewhere


def test_what_is_no_dictionary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a list, not a dictionary"):
        read(_save(tmp_path / "l.ckpt", [torch.zeros(1)]))


def test_a_lost_loader_process_is_not_taken_for_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal handler of torch raises it, so in whatever the main process is doing."""

    def interrupted(*_: object, **__: object) -> None:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())


FULL_DISK = """
import resource, signal, sys, torch
from src.core.errors import CheckpointError
from src.training.callbacks.checkpoint import AtomicCheckpointIO
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
AtomicCheckpointIO().save_checkpoint({"a": torch.zeros(10)}, sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    AtomicCheckpointIO().save_checkpoint({"a": torch.ones(100000)}, sys.argv[1])
except CheckpointError as error:
    sys.exit(0 if "the previous checkpoint is untouched" in str(error) else str(error))
sys.exit("saved")
"""


@pytest.mark.long
def test_a_full_disk_leaves_the_previous_checkpoint_whole(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert torch.equal(read(path)["a"], torch.zeros(10))
    assert list(tmp_path.iterdir()) == [path]


def _save_steps(folder: Path, *steps: int) -> Path:
    for step in steps:
        content = {"step": step, "weights": torch.full((1000,), step)}
        AtomicCheckpointIO().save_checkpoint(content, folder / "last.ckpt")
    return folder


def _steps(folder: Path) -> dict[str, int]:
    return {path.name: read(path)["step"] for path in folder.iterdir()}


def test_the_checkpoint_before_the_last_is_kept(tmp_path: Path) -> None:
    assert _steps(_save_steps(tmp_path / "a", 1)) == {"last.ckpt": 1}
    assert _steps(_save_steps(tmp_path / "b", 1, 2, 3)) == {"last.ckpt": 3, "previous.ckpt": 2}


def test_only_the_last_has_one_before_it(tmp_path: Path) -> None:
    for step in (1, 2):
        AtomicCheckpointIO().save_checkpoint({"step": step}, tmp_path / "best.ckpt")
    assert _steps(tmp_path) == {"best.ckpt": 2}


def test_while_the_last_is_set_aside_the_one_before_it_stays(tmp_path: Path) -> None:
    _save_steps(tmp_path, 1, 2)
    set_aside(tmp_path / "last.ckpt")
    _save_steps(tmp_path, 3)
    assert _steps(tmp_path) == {"last.ckpt": 3, "previous.ckpt": 1, "last.damaged.ckpt": 2}


def test_a_second_damaged_file_does_not_take_the_place_of_the_first(tmp_path: Path) -> None:
    for step in (1, 2):
        set_aside(_save_steps(tmp_path, step) / "last.ckpt")
    assert _steps(tmp_path) == {"last.damaged.ckpt": 1, "last.damaged-2.ckpt": 2}


def test_without_hard_links_both_are_kept_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert _steps(_save_steps(tmp_path, 1, 2, 3)) == {"last.ckpt": 3, "previous.ckpt": 2}


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_flipped_bit_is_found(tmp_path: Path, place: float) -> None:
    path = _save_steps(tmp_path, 1) / "last.ckpt"
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: damaged"):
        check_whole(path)


def test_a_whole_file_passes(tmp_path: Path) -> None:
    check_whole(_save_steps(tmp_path, 1) / "last.ckpt")


def test_a_run_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    own = OwnFolder(tmp_path / "run")
    (tmp_path / "run").rmdir()
    with pytest.raises(DataError, match="was moved or removed while"):
        AtomicCheckpointIO(own).save_checkpoint({"step": 1}, tmp_path / "run/checkpoints/last.ckpt")
    assert not list(tmp_path.iterdir())


def test_what_a_kill_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in (".lock", ".hidden.tmp", "a.tmp", ".a.0123.tmp.ckpt")]
    for path in kept:
        path.touch()
    with replacing(tmp_path / "sub/last.ckpt") as temporary:
        temporary.touch()
        left = temporary.with_name(temporary.name)
        (tmp_path / left.name).touch()
    assert remove_leftovers(tmp_path) == 1
    assert sorted(path for path in tmp_path.iterdir() if path.is_file()) == sorted(kept)


class Mover:
    """Moves the run folder while it is being saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        self.folder.rename(self.folder.with_name("moved"))
        return (list, ())


def test_a_run_folder_that_moves_while_it_is_written_is_named_as_the_cause(tmp_path: Path) -> None:
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    io = AtomicCheckpointIO(OwnFolder(tmp_path / "run"))
    with pytest.raises(DataError, match="was moved or removed while"):
        io.save_checkpoint({"a": Mover(tmp_path / "run")}, tmp_path / "run/checkpoints/last.ckpt")


def _with_pickle(path: Path, pickled: bytes) -> Path:
    """Write a file of torch's form with another pickle in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/version", b"3\n")
        archive.writestr("x/byteorder", b"little")
    return path


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_whatever_byte_is_flipped_the_file_is_refused_or_its_content_is_the_same(
    tmp_path: Path,
) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"net.weight": torch.arange(8.0), "step": 3}, path)
    whole = path.read_bytes()
    for at, flipped in product(range(len(whole)), (0x01, 0xFF)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ flipped]) + whole[at + 1 :])
        try:
            check_whole(path)
            content = read(path)
        except CheckpointError:
            continue
        assert content["step"] == 3
        assert torch.equal(content["net.weight"], torch.arange(8.0))


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02.",  # nothing on the stack
        b"\x80\x02}]K\x01s.",  # a list as a key
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(tR.",  # no arguments
        b"\x80\x02ccollections\nOrderedDict\nK\x01R.",  # a number for arguments
        b"\x80\x02r\xff\xff\xff\x7f.",  # an empty stack is noted
        b"\x80\x02K\x01Q.",  # a number for a storage
    ],
)
def test_a_pickle_of_nonsense_is_a_sentence(pickled: bytes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"x\.ckpt: (damaged|refused)"):
        read(_with_pickle(tmp_path / "x.ckpt", pickled))


def test_a_file_that_unpacks_to_more_than_it_is_is_refused_before(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "a.ckpt")
    with (
        zipfile.ZipFile(tmp_path / "a.ckpt") as whole,
        zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in whole.namelist():
            bomb.writestr(name, whole.read(name))
    with pytest.raises(CheckpointError, match=r"unpacks to 4,\d+,\d+ bytes"):
        read(tmp_path / "bomb.ckpt")
