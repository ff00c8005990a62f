import signal
from contextlib import suppress
from typing import Any, cast

import lightning as L  # noqa: N812
import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.utils.data import DataLoader

from src.core.preemption import PREEMPTING, Preemption, preemptible
from src.training.callbacks.pictures import panel
from src.training.callbacks.progress import Throughput
from src.training.callbacks.stopping import GracefulStop, stop_after_step


def _trainer(**values: object) -> Any:  # noqa: ANN401
    usual: dict[str, object] = {
        "world_size": 1,
        "global_step": 2,
        "log_every_n_steps": 2,
        "should_stop": False,
        "limit_val_batches": 1.0,
        "max_steps": 100,
    }
    usual |= {"strategy": SingleDeviceStrategy("cpu")}
    return cast("L.Trainer", _Duck(**{**usual, **values}))


class _Duck(L.Trainer):
    """A trainer of which only a few attributes are asked; it trains nothing."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401
        values = object.__getattribute__(self, "__dict__")
        return values[name] if name in values else object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self.__dict__[name] = value


def _image(level: float) -> torch.Tensor:
    return torch.full((3, 2, 5), level)


def test_a_panel_shows_input_restored_target_and_five_times_the_error() -> None:
    image = panel(_image(0.2), _image(0.5), _image(0.6))
    assert image.shape == (2, 20, 3)
    assert image[0, ::5, 0].tolist() == [51, 128, 153, 128]


def test_the_error_in_a_panel_is_that_of_the_clamped_image() -> None:
    assert (panel(_image(0.0), _image(1.5), _image(1.0))[:, 15:] == 0).all()


def test_a_grey_panel_has_three_channels() -> None:
    image = panel(*(torch.rand(1, 3, 4) for _ in range(3)))
    assert image.shape == (3, 16, 3)
    assert np.ptp(image, axis=2).max() == 0


class _Log(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[str, float] = {}

    def log(self, name: str, value: float, **_: object) -> None:  # type: ignore[override]
        self.logged[name] = value


def test_throughput_is_images_over_time_and_the_share_of_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter([0.0, 1.0, 4.0, 5.0])  # works 1 s, waits 3 s, works 1 s
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    meter, trainer, module = Throughput(), _trainer(world_size=2), _Log()
    batch = {"target": torch.zeros(4, 1, 1, 1)}
    for index in range(2):
        meter.on_train_batch_start(trainer, module, batch, index)
        meter.on_train_batch_end(trainer, module, None, batch, index)
    assert module.logged["perf/data_wait"] == pytest.approx(3 / 5)
    assert module.logged["perf/images_per_s"] == pytest.approx(2 * 2 * 4 / 5)


def test_validation_is_not_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 4.0, 5.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    meter, trainer, module = Throughput(), _trainer(), _Log()
    batch = {"target": torch.zeros(4, 1, 1, 1)}
    for index in range(2):
        meter.on_validation_start(trainer, module)
        meter.on_train_batch_start(trainer, module, batch, index)
        meter.on_train_batch_end(trainer, module, None, batch, index)
    assert module.logged["perf/data_wait"] == 0


def _train_with_waits(
    waits: list[float], monkeypatch: pytest.MonkeyPatch, **settings: object
) -> None:
    """Let a batch of work last 1 s, and what is between two batches as long as ``waits`` say."""
    clock = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: clock)
    loader = DataLoader([0], **settings)  # type: ignore[arg-type,var-annotated]
    meter, trainer, module = Throughput(), _trainer(train_dataloader=loader), _Log()
    batch = {"target": torch.zeros(4, 1, 1, 1)}
    for index, wait in enumerate(waits):
        clock += wait
        meter.on_train_batch_start(trainer, module, batch, index)
        clock += 1.0
        meter.on_train_batch_end(trainer, module, None, batch, index)


@pytest.mark.parametrize(
    ("workers", "advice"),
    [
        (0, "no process loads them ahead. Try data.workers=2"),
        (2, "2 loader processes do not keep up. Try data.workers=4"),
    ],
)
def test_more_than_a_tenth_of_waiting_is_said_once_with_what_helps(
    workers: int,
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _train_with_waits([0.25] * 60, monkeypatch, num_workers=workers)
    assert len(caplog.records) == 1
    assert f"waits 20 % of its time for data: {advice}" in caplog.text


def test_less_waiting_than_a_tenth_and_a_slow_start_are_not_mentioned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _train_with_waits([5.0] * 10 + [0.1] * 60, monkeypatch)
    assert caplog.records == []


@pytest.fixture
def stop() -> Any:  # noqa: ANN401
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, *PREEMPTING)}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
    callback = GracefulStop()
    callback.on_train_start(_trainer(), _Log())
    yield callback
    for signum, handler in before.items():
        signal.signal(signum, handler)


def test_the_first_interrupt_asks_for_a_stop_after_a_whole_step(stop: GracefulStop) -> None:
    signal.raise_signal(signal.SIGINT)
    trainer = _trainer(accumulate_grad_batches=2, val_check_batch=100)
    stop.on_train_batch_end(trainer, _Log(), None, None, 0)
    assert not trainer.should_stop
    stop.on_train_batch_end(trainer, _Log(), None, None, 1)
    assert trainer.should_stop


def test_a_signal_of_the_start_that_somebody_swallowed_stops_after_the_first_step(
    stop: GracefulStop,
) -> None:
    for signum in PREEMPTING:
        signal.signal(signum, signal.SIG_DFL)
    with preemptible():
        with suppress(Preemption):  # as libraries do while they are imported
            signal.raise_signal(signal.SIGUSR1)
        stop.on_train_start(_trainer(), _Log())
        trainer = _trainer(accumulate_grad_batches=1, val_check_batch=100)
        stop.on_train_batch_end(trainer, _Log(), None, None, 0)
    assert trainer.should_stop
    assert stop.signum == signal.SIGUSR1


def test_a_signal_in_the_last_validation_is_known_when_training_ends(stop: GracefulStop) -> None:
    signal.raise_signal(signal.SIGTERM)
    assert not stop.interrupted
    stop.on_train_end(_trainer(), _Log())
    assert stop.signum == signal.SIGTERM


@pytest.mark.parametrize(("step", "every"), [(3, 0), (4, 2)])
def test_a_stop_logs_its_step_only_where_that_is_due(step: int, every: int) -> None:
    trainer = _trainer(global_step=step)
    stop_after_step(trainer)
    assert trainer.should_stop
    assert trainer.log_every_n_steps == every  # type: ignore[attr-defined]


def test_a_validation_that_is_due_takes_place_before_the_stop(stop: GracefulStop) -> None:
    signal.raise_signal(signal.SIGINT)
    trainer = _trainer(accumulate_grad_batches=1, val_check_batch=5)
    stop.on_train_batch_end(trainer, _Log(), None, None, 4)
    assert not trainer.should_stop
    stop.on_train_batch_end(trainer, _Log(), None, None, 5)
    assert trainer.should_stop
    assert trainer.limit_val_batches == 0


def test_the_second_interrupt_is_pythons_own(stop: GracefulStop) -> None:
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("signum", PREEMPTING)
def test_a_scheduler_may_repeat_its_signal_and_the_step_is_finished(
    stop: GracefulStop, signum: signal.Signals
) -> None:
    signal.raise_signal(signum)
    signal.raise_signal(signal.SIGTERM)
    trainer = _trainer(accumulate_grad_batches=1, val_check_batch=100)
    stop.on_train_batch_end(trainer, _Log(), None, None, 0)
    assert trainer.should_stop
    assert stop.signum == signum


def test_a_signal_that_is_to_be_ignored_is_ignored(stop: GracefulStop) -> None:
    stop.teardown(_trainer(), _Log(), "fit")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    trainer = _trainer(accumulate_grad_batches=1, val_check_batch=100)
    stop.on_train_start(trainer, _Log())
    for signum, stops in ((signal.SIGHUP, False), (signal.SIGTERM, True)):
        signal.raise_signal(signum)
        stop.on_train_batch_end(trainer, _Log(), None, None, 0)
        assert stop.interrupted is stops


class _Slow(SingleDeviceStrategy):
    """Processes that take their time to agree, during which a signal comes, once."""

    asked = False

    def reduce(self, tensor: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if not self.asked:
            self.asked = True
            signal.raise_signal(signal.SIGUSR2)
        return tensor


def test_a_signal_that_comes_while_the_processes_agree_counts_after_the_next_step(
    stop: GracefulStop,
) -> None:
    trainer = _trainer(accumulate_grad_batches=1, val_check_batch=100, strategy=_Slow("cpu"))
    stop.on_train_batch_end(trainer, _Log(), None, None, 0)
    assert not trainer.should_stop
    stop.on_train_batch_end(trainer, _Log(), None, None, 1)
    assert trainer.should_stop
    assert stop.signum == signal.SIGUSR2


def test_ctrl_c_is_given_back_when_training_ends(stop: GracefulStop) -> None:
    stop.teardown(_trainer(), _Log(), "fit")
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
