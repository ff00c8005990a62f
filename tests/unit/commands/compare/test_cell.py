"""What is kept of a cell."""

from src.app.results import RESULTS
from src.app.sweeps.cell_files import CELL, COMPARED
from src.commands.compare.cell import with_earlier_starts
from src.training.callbacks.csv_logger import METRICS


def test_a_training_that_has_gone_on_took_the_time_of_all_its_steps() -> None:
    cost = {"went_on": True, "training": {"wall_seconds": 3.0, "peak_memory_mib": 1.0}}
    whole = with_earlier_starts(cost, 50.0)
    assert whole["training"] == {"wall_seconds": 50.0, "peak_memory_mib": 1.0}
    assert cost["training"] == {"wall_seconds": 3.0, "peak_memory_mib": 1.0}
    at_once = {**cost, "went_on": False}
    assert with_earlier_starts(at_once, 50.0) == at_once
    assert with_earlier_starts(cost, 0.0) == cost  # speed was not logged


def test_a_cell_is_finished_when_all_is_there_that_commands_write_of_it() -> None:
    assert {*COMPARED} == {CELL, RESULTS, METRICS}
