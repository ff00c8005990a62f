from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from src.core.types import Clean, Pair
from src.degradations.bicubic import Bicubic
from src.degradations.gaussian import GaussianNoise
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer
from src.metrics.evaluator import Evaluator
from src.metrics.protocol import Protocol
from src.training.tasks.restoration import Denoise


class Same(nn.Identity):
    """A network that restores nothing."""

    scale = multiple_of = min_size = 1
    in_channels = out_channels = 3
    global_context = False


class Placed(Denoise):
    """A task that is told where in the training it is, instead of asking a trainer."""

    micro_step = rank = 0
    world = 4

    @property
    def global_rank(self) -> int:  # type: ignore[override]
        return self.rank

    def _micro_step(self) -> int:
        return self.micro_step

    def _world(self) -> int:
        return self.world


def _task(*, seed: int = 0, step: int = 0, rank: int = 0, training: bool = False) -> Placed:
    net = Same()
    task = Placed(
        net=net,
        degradation=GaussianNoise((25, 25), clip8=False),
        loss=nn.L1Loss(),
        evaluator=Evaluator(Protocol("p"), {}),
        restorer=Restorer(net, InferencePolicy()),
        optimizer=torch.optim.Adam,
        scheduler=torch.optim.lr_scheduler.ConstantLR,
        seed=seed,
    )
    task.micro_step, task.rank = step, rank
    task.train(training)
    return task


def _batch(*keys: str) -> Clean:
    return Clean(target=torch.full((len(keys), 3, 6, 8), 0.5), key=list(keys))


def _training_noise(**place: int) -> Tensor:
    return _task(training=True, **place).degrade(_batch("a", "b"))["input"]


def test_in_evaluation_the_noise_belongs_to_the_image_not_to_the_batch() -> None:
    together = _task().degrade(_batch("a", "b", "c"))["input"]
    turned = _task(seed=5, step=9, rank=1).degrade(_batch("c", "a", "b"))["input"]
    alone = _task().degrade(_batch("b"))["input"]
    assert torch.equal(together, turned[[1, 2, 0]])
    assert torch.equal(together[1:2], alone)
    assert not torch.equal(together[0], together[1])


def test_in_training_the_noise_is_a_function_of_seed_step_and_rank() -> None:
    assert torch.equal(_training_noise(), _training_noise())
    noises = [
        _training_noise(),
        _training_noise(seed=1),
        _training_noise(step=1),
        _training_noise(rank=1),
    ]
    for index, one in enumerate(noises):
        assert not any(torch.equal(one, other) for other in noises[:index])


def test_the_noise_of_a_step_is_the_same_however_many_processes_share_it() -> None:
    alone = _task(training=True, step=3)
    alone.world = 1
    pair = [_task(training=True, step=3, rank=rank) for rank in (0, 1)]
    for one in pair:
        one.world = 2
    shares = [task.degrade(_batch("a", "b"))["input"] for task in pair]
    together = alone.degrade(_batch("a", "b", "a", "b"))["input"]
    assert torch.equal(together, torch.cat(shares))


def test_the_noise_of_a_step_is_the_same_whether_its_batch_is_accumulated() -> None:
    whole = _task(training=True, step=3)
    parts = [_task(training=True, step=step) for step in (6, 7)]
    for task in (whole, *parts):
        task.world = 1
    halves = [task.degrade(_batch("a", "b"))["input"] for task in parts]
    assert torch.equal(whole.degrade(_batch("a", "b", "a", "b"))["input"], torch.cat(halves))


def test_the_images_of_a_training_batch_have_their_own_noise() -> None:
    noise = _training_noise()
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize("training", [True, False])
def test_a_pair_that_has_its_input_keeps_it(training: bool) -> None:
    pair = Pair(input=torch.zeros(1, 3, 6, 8), target=torch.ones(1, 3, 6, 8), key=["a"])
    assert _task(training=training).degrade(pair) is pair


Part = Callable[[Placed, Pair], Tensor]


@pytest.mark.parametrize("part", [Placed.net_input, Placed.baseline])
def test_the_network_sees_the_noisy_image_and_it_is_the_score_to_beat(part: Part) -> None:
    task = _task()
    pair = task.degrade(_batch("a"))
    assert part(task, pair) is pair["input"]


class Counted(Bicubic):
    """A degradation that counts how often it is called."""

    calls = 0

    def forward(self, clean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        self.calls += 1
        return super().forward(clean, generator)


def test_what_draws_nothing_spoils_a_training_batch_at_once_and_equally() -> None:
    task, photos = _task(training=True), torch.rand(5, 3, 12, 16)
    one_by_one = torch.cat([Bicubic(2)(photo[None]) for photo in photos])
    task.degradation, task.scale = Counted(2), 2
    spoilt = task.degrade(Clean(target=photos, key=[""] * 5))["input"]
    assert torch.equal(spoilt, one_by_one)
    assert task.degradation.calls == 1
    task.eval()
    assert torch.equal(task.degrade(Clean(target=photos, key=[*"abcde"]))["input"], one_by_one)
