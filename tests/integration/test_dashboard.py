"""The W&B workspace and report, built offline; they may only show what a run logs."""

import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import pytest

from tests.support.runs import command

pytestmark = [
    pytest.mark.skipif(
        find_spec("wandb_workspaces") is None, reason="the extra `dashboard` is not installed"
    ),
    pytest.mark.filterwarnings("ignore:.*Pydantic.*:DeprecationWarning"),  # wandb-workspaces 0.4
]

LOGGED = {
    *("train/loss", "val/psnr", "val/ssim", "perf/images_per_s", "perf/data_wait"),
    *("val/sample_photos/psnr", "val/sample_photos/ssim", "val/scores"),
    *("images/sample_photos_chelsea", "images/sample_photos_astronaut"),
}
CONFIGURED = {"model", "attention", "parameters", "learning_rate", "batch_size"}


@pytest.fixture
def no_key(tmp_path: Path) -> Iterator[None]:
    """An account without a W&B key."""
    own = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none"), "WANDB_API_KEY": ""}
    with mock.patch.dict(os.environ, own):
        yield


@pytest.mark.long
@pytest.mark.usefixtures("no_key")
def test_a_dry_run_writes_both_parts_as_json_without_a_key(tmp_path: Path) -> None:
    done = command("dashboard", "project=mine", "dry_run=true", f"output={tmp_path / 'out'}")
    assert done.code == 0, done.err
    workspace = json.loads((tmp_path / "out/workspace.json").read_text())
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert workspace["project"] == report["project"]["name"] == "mine"


@pytest.mark.long
@pytest.mark.usefixtures("no_key")
def test_a_dry_run_prints_what_would_be_saved() -> None:
    done = command("dashboard", "dry_run=true", "parts=[workspace]")
    assert json.loads(done.out)["displayName"] == "exemplar"


@pytest.mark.usefixtures("no_key")
def test_saving_without_a_key_is_refused_with_what_to_do() -> None:
    done = command("dashboard", "project=mine")
    assert done.code == 2
    assert "wandb login" in done.err
    assert "dry_run=true" in done.err


@pytest.mark.usefixtures("no_key")
def test_an_unknown_part_is_refused() -> None:
    done = command("dashboard", "dry_run=true", "parts=[reprot]")
    assert done.code == 2
    assert "Did you mean report?" in done.err


def _strings(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)
    elif isinstance(node, str):
        yield node


def test_a_dashboard_shows_only_what_a_run_logs() -> None:
    from src.commands.dashboard.panels import STEP, build_report, build_workspace

    names = ("me", "mine", "title", "sample_photos")
    shown = set()
    for page in (build_workspace(*names), build_report(*names, ["chelsea", "astronaut"])):
        model = json.loads(page._to_model().model_dump_json(by_alias=True, exclude_none=True))
        shown |= {text.removeprefix("summary:") for text in _strings(model)}
    keys = {text for text in shown if text.startswith(("train/", "val/", "perf/", "images/"))}
    assert keys <= LOGGED
    assert STEP in shown
    config = {
        text.removesuffix(".value").removeprefix("config:") for text in shown if ".value" in text
    }
    assert config <= CONFIGURED
    assert {"model", "attention", "parameters"} <= config
