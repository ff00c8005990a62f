"""Each sweep definition for W&B makes command lines that ours accepts."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from src.app.config.check import Request
from src.app.config.options import register_resolvers
from src.app.config.typed import as_meant
from src.core.paths import ROOT
from tests.support.compose import check

SWEEPS = sorted((ROOT / "experiments/sweeps").glob("*.yaml"))
MACRO = "${args_no_hyphens}"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # the pattern of W&B's own schema (sweeps 0.3.0)


def _sweep(path: Path) -> dict[str, Any]:
    held: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return held


def _command_lines(sweep: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return what W&B's agent would type after ``src.train``, each choice at least once."""
    fixed = [word for word in sweep["command"] if "=" in word]
    choices = [
        parameter.get("values") or [parameter["min"], parameter["max"]]
        for parameter in sweep["parameters"].values()
    ]
    # Here and not above: it takes seconds, which each process of pytest would spend.
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    lines = []
    for values in itertools.zip_longest(*choices):
        taken = {
            name: {"value": options[0] if value is None else value}
            for (name, options), value in zip(
                zip(sweep["parameters"], choices, strict=True), values, strict=True
            )
        }
        typed = create_sweep_command_args({"args": taken})["args_no_hyphens"]
        lines.append((*fixed, *as_meant(typed)))
    return lines


@pytest.mark.long
@pytest.mark.parametrize("path", SWEEPS, ids=[path.stem for path in SWEEPS])
def test_every_value_of_a_sweep_is_accepted(path: Path) -> None:
    register_resolvers(claim=False)
    for words in _command_lines(_sweep(path)):
        check(Request("train", words))


@pytest.mark.parametrize("path", SWEEPS, ids=[path.stem for path in SWEEPS])
def test_a_sweep_runs_our_command_and_follows_a_logged_score(path: Path) -> None:
    sweep = _sweep(path)
    assert sweep["command"][:4] == ["${env}", "${interpreter}", "-m", "src.train"]
    assert sweep["command"][-1] == MACRO
    assert "logger=wandb" in sweep["command"]
    assert sweep["metric"] == {"name": "val/psnr", "goal": "maximize"}
    assert sweep["name"] == path.stem
    assert (ROOT / sweep["program"]).is_file()


@pytest.mark.parametrize("path", SWEEPS, ids=[path.stem for path in SWEEPS])
def test_numbers_of_a_sweep_are_numbers(path: Path) -> None:
    for parameter in _sweep(path)["parameters"].values():
        if "min" in parameter:
            assert isinstance(parameter["min"], int | float)
            assert parameter["min"] < parameter["max"]
        else:
            assert len(parameter["values"]) > 1


@pytest.mark.parametrize("path", SWEEPS, ids=[path.stem for path in SWEEPS])
def test_the_names_of_a_sweep_are_ones_that_wandb_takes(path: Path) -> None:
    assert all(NAME.fullmatch(name) for name in _sweep(path)["parameters"])


def test_there_are_sweeps() -> None:
    assert {"attention", "learning_rate", "width_depth"} <= {path.stem for path in SWEEPS}
