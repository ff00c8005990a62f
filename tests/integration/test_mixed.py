"""A training on several folders with shares, and its exact resume."""

from pathlib import Path

import torch

from src.weights.checkpoint_file import read
from tests.support.images import write_folder
from tests.support.runs import TINY, command

WORDS = tuple(word for word in TINY if not word.startswith("data="))


def test_a_run_on_shares_goes_on_bit_for_bit(tmp_path: Path) -> None:
    folders = [write_folder(tmp_path / name, 2, seed=ord(name)) for name in "ab"]
    mixture = "{a: {dir: %s, share: 3}, b: {dir: %s}}" % tuple(folders)  # noqa: UP031
    data = ("data=folder", f"data.train={mixture}", f"data.val_dir={folders[0]}")

    def run(folder: Path, *words: str, steps: int) -> dict[str, torch.Tensor]:
        length = (f"trainer.max_steps={steps}", "trainer.val_check_interval=1")
        done = command("train", *words, *length, f"hydra.run.dir={folder}")
        assert done.code == 0, done.err
        weights: dict[str, torch.Tensor] = read(folder / "checkpoints/last.ckpt")["state_dict"]
        return weights

    whole = run(tmp_path / "whole", *WORDS, *data, steps=3)
    run(tmp_path / "cut", *WORDS, *data, steps=1)
    cut = run(tmp_path / "cut", f"resume={tmp_path / 'cut'}", steps=3)
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
