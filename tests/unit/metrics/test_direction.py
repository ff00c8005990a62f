"""Whether more or less of a score is better, for names as they are logged."""

from functools import partial
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor
from torchmetrics.image import PeakSignalNoiseRatio
from torchmetrics.regression import MeanSquaredError

from src.core.errors import ConfigError
from src.core.paths import CONF_DIR
from src.metrics.direction import KNOWN, check_monitors, higher_is_better, monitor_mode
from src.metrics.perceptual import lpips


@pytest.mark.parametrize("name", ["psnr", "val/ssim", "val/set5/psnr_b", "test/x/psnr_input"])
def test_of_likenesses_more_is_better(name: str) -> None:
    assert higher_is_better(name) is True


@pytest.mark.parametrize("name", ["lpips", "val/dists", "val/set5/lpips_input", "train/loss"])
def test_of_distances_and_losses_less_is_better(name: str) -> None:
    assert higher_is_better(name) is False


def test_a_metric_under_another_name_is_asked_itself() -> None:
    assert higher_is_better("val/look", {"look": partial(lpips)}) is False
    node = {"_target_": "src.metrics.perceptual.lpips", "_partial_": True}
    assert higher_is_better("val/set5/look", {"look": node}) is False


def test_what_a_metric_declares_counts_more_than_its_name() -> None:
    assert higher_is_better("val/psnr", {"psnr": MeanSquaredError}) is False
    assert higher_is_better("loss", {"loss": PeakSignalNoiseRatio}) is True


def strange(restored: Tensor, target: Tensor) -> Tensor:
    return torch.zeros(len(restored)) * target.mean()


def test_an_unknown_direction_is_refused_with_the_key_that_states_it() -> None:
    config = {"monitor": "val/odd", "metrics": {"odd": {"_target_": f"{__name__}.strange"}}}
    assert higher_is_better("val/odd", {"odd": strange}) is None
    with pytest.raises(ConfigError, match=r"monitor=val/odd.*monitor_mode=min"):
        monitor_mode(config)
    assert monitor_mode({**config, "monitor_mode": "min"}) == "min"
    with pytest.raises(ConfigError, match="monitor_mode=lowest: min or max"):
        monitor_mode({**config, "monitor_mode": "lowest"})


def test_every_metric_of_the_configuration_has_a_direction() -> None:
    for file in (CONF_DIR / "metrics").glob("*.yaml"):
        assert yaml.safe_load(file.read_text()).keys() - {"defaults"} <= KNOWN.keys(), file


def _watching(name: str, callback: str = "val/psnr", *, of: str = "lightning.X") -> dict[str, Any]:
    callbacks = {"stop": {"_target_": of, "monitor": callback}, "other": {"_target_": "src.x.Y"}}
    task = {"_target_": "src.training.tasks.denoise.Denoise"}
    metrics: dict[str, Any] = {"psnr": {}, "ssim": {}}
    return {"monitor": name, "metrics": metrics, "task": task, "callbacks": callbacks}


@pytest.mark.parametrize("name", ["val/psnrr", "val_psnr", "psnr", "val/set55/psnr", "train/los"])
def test_a_monitor_that_nothing_logs_is_met_with_the_nearest_name(name: str) -> None:
    near = "train/loss" if "los" in name else r"val/(set5/)?psnr"
    with pytest.raises(ConfigError, match=f"^monitor={name}: .*Did you mean .*{near}"):
        check_monitors(_watching(name), ["set5"])
    with pytest.raises(ConfigError, match=rf"^callbacks\.stop\.monitor={name}: "):
        check_monitors(_watching("val/psnr", name), ["set5"])


@pytest.mark.parametrize("name", ["val/psnr", "val/set5/ssim_input", "train/loss"])
def test_a_monitor_that_is_logged_is_accepted(name: str) -> None:
    check_monitors(_watching(name, name), ["set5"])


def test_code_of_ones_own_may_log_any_name() -> None:
    check_monitors(_watching("val/mine", of="mine.Callback"), [])
    check_monitors(_watching("val/mine"), None)
