"""A training on several folders with shares, and its exact resume."""

from pathlib import Path

import pytest
import torch

from tests.support.images import write_folder
from tests.support.runs import TINY, trained_weights

WORDS = tuple(word for word in TINY if not word.startswith("data="))


@pytest.mark.long
def test_a_run_on_shares_goes_on_bit_for_bit(tmp_path: Path) -> None:
    folders = [write_folder(tmp_path / name, 2, seed=ord(name)) for name in "ab"]
    mixture = "{a: {dir: %s, share: 3}, b: {dir: %s}}" % tuple(folders)  # noqa: UP031
    data = ("data=folder", f"data.train={mixture}", f"data.val_dir={folders[0]}")

    whole = trained_weights(tmp_path / "whole", *WORDS, *data, steps=3)
    trained_weights(tmp_path / "cut", *WORDS, *data, steps=1)
    cut = trained_weights(tmp_path / "cut", f"resume={tmp_path / 'cut'}", steps=3)
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
