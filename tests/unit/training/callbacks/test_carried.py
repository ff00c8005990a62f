"""What a run that goes on takes from its checkpoint."""

from typing import Any

import lightning as L  # noqa: N812
import torch

from src.training.callbacks.carried import RandomState, _row
from src.training.callbacks.going_on import NewSettings


class OfRank(L.Trainer):
    """A trainer that knows its place and nothing else."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    @property
    def global_rank(self) -> int:
        return self.rank


def _drawn(callback: RandomState, rank: int) -> torch.Tensor:
    callback.on_train_start(OfRank(rank), L.LightningModule())
    return torch.rand(3)


def test_each_process_draws_its_own_numbers_and_the_first_those_of_one_alone() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(5)
        alone = torch.rand(3)
        drawn = []
        for rank in (0, 1, 2):
            torch.random.manual_seed(5)
            drawn.append(_drawn(RandomState(), rank))
    assert torch.equal(drawn[0], alone)
    assert len({tuple(numbers.tolist()) for numbers in drawn}) == 3


def test_a_saved_state_is_taken_up_by_the_process_that_left_it() -> None:
    with torch.random.fork_rng(devices=[]):
        states, following = [], []
        for seed in (1, 2):
            torch.random.manual_seed(seed)
            states.append(torch.get_rng_state())
            following.append(torch.rand(3))
        callback = RandomState()
        callback.load_state_dict({"cpu": torch.stack(states)})
        assert all(torch.equal(_drawn(callback, rank), following[rank]) for rank in (0, 1))


def test_more_processes_than_were_saved_share_their_states() -> None:
    states = torch.arange(6).reshape(2, 3)
    assert torch.equal(_row(states, 3), states[1])


def test_a_new_peak_keeps_the_schedules_share_of_it() -> None:
    checkpoint: dict[str, Any] = {
        "optimizer_states": [{"param_groups": [{"lr": 0.5, "initial_lr": 2.0, "betas": [0, 0]}]}],
        "lr_schedulers": [{"base_lrs": [2.0], "_last_lr": [0.5], "milestones": {3: 1}}],
    }
    NewSettings({"lr": 1.0, "betas": [0.5, 0.9]}, scheduler=False).on_load_checkpoint(
        OfRank(0), L.LightningModule(), checkpoint
    )
    (group,) = checkpoint["optimizer_states"][0]["param_groups"]
    assert group == {"lr": 0.25, "initial_lr": 1.0, "betas": [0.5, 0.9]}
    assert checkpoint["lr_schedulers"] == [
        {"base_lrs": [1.0], "_last_lr": [0.25], "milestones": {3: 1}}
    ]
