import errno
import os
from pathlib import Path

import pytest
import torch

from src.core.errors import CheckpointError
from src.core.files import remove_leftovers, replacing
from src.weights.atomic_io import AtomicCheckpointIO, check_whole, read
from src.weights.generations import set_aside


def _save(folder: Path, *steps: int) -> Path:
    for step in steps:
        content = {"step": step, "weights": torch.full((1000,), step)}
        AtomicCheckpointIO().save_checkpoint(content, folder / "last.ckpt")
    return folder


def _steps(folder: Path) -> dict[str, int]:
    return {path.name: read(path)["step"] for path in folder.iterdir()}


def test_the_checkpoint_before_the_last_is_kept(tmp_path: Path) -> None:
    assert _steps(_save(tmp_path / "a", 1)) == {"last.ckpt": 1}
    assert _steps(_save(tmp_path / "b", 1, 2, 3)) == {"last.ckpt": 3, "previous.ckpt": 2}


def test_only_the_last_has_one_before_it(tmp_path: Path) -> None:
    for step in (1, 2):
        AtomicCheckpointIO().save_checkpoint({"step": step}, tmp_path / "best.ckpt")
    assert _steps(tmp_path) == {"best.ckpt": 2}


def test_while_the_last_is_set_aside_the_one_before_it_stays(tmp_path: Path) -> None:
    _save(tmp_path, 1, 2)
    set_aside(tmp_path / "last.ckpt")
    _save(tmp_path, 3)
    assert _steps(tmp_path) == {"last.ckpt": 3, "previous.ckpt": 1, "last.damaged.ckpt": 2}


def test_a_second_damaged_file_does_not_take_the_place_of_the_first(tmp_path: Path) -> None:
    for step in (1, 2):
        set_aside(_save(tmp_path, step) / "last.ckpt")
    assert _steps(tmp_path) == {"last.damaged.ckpt": 1, "last.damaged-2.ckpt": 2}


def test_without_hard_links_both_are_kept_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert _steps(_save(tmp_path, 1, 2, 3)) == {"last.ckpt": 3, "previous.ckpt": 2}


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_flipped_bit_is_found(tmp_path: Path, place: float) -> None:
    path = _save(tmp_path, 1) / "last.ckpt"
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: damaged"):
        check_whole(path)


def test_a_whole_file_passes(tmp_path: Path) -> None:
    check_whole(_save(tmp_path, 1) / "last.ckpt")


def test_a_run_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="was moved or removed while"):
        AtomicCheckpointIO().save_checkpoint({"step": 1}, tmp_path / "run/checkpoints/last.ckpt")
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
