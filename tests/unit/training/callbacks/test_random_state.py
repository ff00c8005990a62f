"""The global random state of each of several processes."""

import lightning as L  # noqa: N812
import torch

from src.training.callbacks.random_state import RandomState, _row


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
