"""What `callbacks=attention` logs of the weights of attention, against the saved network's maps."""

import statistics
from math import exp, log
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from src.app.build import build_data, build_task
from src.inference.attention_maps import maps_of
from src.training.callbacks.attention_spread import AttentionSpread
from src.weights.checkpoint import load_weights, open_checkpoint
from tests.support.compare import LAST, rows
from tests.support.runs import train_tiny

BLOCK = "trunk.1"
WORDS = (
    "callbacks=attention",
    "callbacks.attention_spread.size=20",
    "callbacks.attention_spread.points=2",
    "data.benchmarks.synthetic.count=3",
)


def _logged(folder: Path) -> tuple[float, float]:
    (row,) = (row for row in rows(folder) if row["val/psnr"])
    return tuple(float(row[f"attention/{BLOCK}/{name}"]) for name in ("effective_keys", "near"))


@pytest.mark.long
def test_the_spread_that_is_logged_is_that_of_the_saved_network(tmp_path: Path) -> None:
    train_tiny(tmp_path, *WORDS)
    checkpoint = open_checkpoint(tmp_path / LAST)
    cfg = OmegaConf.create(checkpoint.config)
    task = build_task(cfg).eval()
    load_weights(task.net, checkpoint)
    data = build_data(cfg)
    data.setup("validate")
    (loader,) = data.val_dataloader()
    seen = []
    for batch in loader:
        middle = task.net_input(task.degrade(batch))[..., 22:42, 22:42]  # 20 of 64
        grid = [(5, 5), (5, 15), (15, 5), (15, 15)]
        seen += [one.spread(4.0) for one in maps_of(task.net, middle, grid)[BLOCK]]
    assert len(seen) == 3 * 4
    effective_keys, near = _logged(tmp_path)
    (row,) = (row for row in rows(tmp_path) if row["val/psnr"])
    assert float(row[f"attention/{BLOCK}/keys"]) == seen[0].keys
    mean = exp(statistics.fmean(log(one.effective_keys) for one in seen))
    assert effective_keys == pytest.approx(mean, rel=1e-5)
    assert near == pytest.approx(statistics.fmean(one.near for one in seen), rel=1e-5)


@pytest.mark.ddp
@pytest.mark.long
def test_two_processes_log_the_mean_over_all_images(tmp_path: Path) -> None:
    """Of three images one process has two and the other one."""
    train_tiny(tmp_path / "one", *WORDS)
    train_tiny(tmp_path / "two", *WORDS, "trainer=ddp_cpu")
    assert _logged(tmp_path / "two") == pytest.approx(_logged(tmp_path / "one"), rel=1e-4)


@pytest.mark.long
def test_a_network_without_such_blocks_is_told(tmp_path: Path) -> None:
    done = train_tiny(tmp_path, *WORDS, "model/attention=channel", steps=1)
    assert "No block of this network compares pixels or patches" in done.out


@pytest.mark.parametrize("given", [{"size": 7}, {"points": 0}, {"size": 8, "points": 9}])
def test_a_middle_without_room_for_the_queries_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="=".join(map(str, list(given.items())[-1]))):
        AttentionSpread(**given)
