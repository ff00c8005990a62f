"""Training on two machines (network namespaces): as on one, and what is left when one is lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.two_hosts import (
    CASES,
    PATIENCE_S,
    Ended,
    TwoHosts,
    lose,
    train_whole,
    why_not,
)

REASON = why_not()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.ddp,
    pytest.mark.skipif(bool(REASON), reason=REASON or "two hosts can be made"),
]
BOUND_S = 60 + PATIENCE_S
"""Seconds after a loss in which both sides have ended."""


@pytest.mark.parametrize("starter", ["srun", "torchrun"])
def test_two_machines_end_with_the_bits_of_one(starter: str, tmp_path: Path) -> None:
    train_whole(starter, tmp_path)


@pytest.mark.parametrize("starter", ["srun", "torchrun"])
def test_a_cut_cable_ends_both_sides_clearly_and_nothing_is_lost(
    starter: str, tmp_path: Path
) -> None:
    ended, saved = lose(starter, tmp_path, TwoHosts.cut)
    assert saved >= 3
    _assert_told(ended)


@pytest.mark.parametrize("host", [0, 1])
def test_a_machine_that_dies_ends_the_other_clearly_and_nothing_is_lost(
    host: int, tmp_path: Path
) -> None:
    ended, saved = lose("srun", tmp_path, lambda hosts: hosts.kill(host))
    assert saved >= 3
    _assert_told([ended[1 - host]])
    assert ended[1 - host].seconds < PATIENCE_S  # its end closes the connections


def _assert_told(ended: list[Ended]) -> None:
    for one in ended:
        assert one.code == 1, one
        assert one.seconds < BOUND_S, one
        assert "has no answer from the others any more" in one.said
        assert "is whole" in one.said
        assert "Traceback" not in one.said.split("has no answer")[0]


@pytest.mark.parametrize("name", ["doctor", "doctor, no cable"])
def test_the_check_sees_whether_two_machines_reach_each_other(name: str, tmp_path: Path) -> None:
    case: Callable[[Path], tuple[list[Ended], int]] = CASES[name]
    (first, second), _ = case(tmp_path)
    if name == "doctor":
        assert (first.code, second.code) == (0, 0), (first, second)
        assert "2 processes, 1 on each of 2 machines" in first.said
        return
    assert (first.code, second.code) == (1, 1)
    assert "may they reach each other" in " ".join(first.said.split())
    assert "had no word from the first one at 10.231.7.1" in second.said
