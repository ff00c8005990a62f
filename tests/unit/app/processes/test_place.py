"""How many processes there are, told by a configuration and by whoever started them."""

import pytest
from omegaconf import DictConfig, OmegaConf

from src.app.processes.place import SLURM, TORCHRUN, VARIABLES, Place, here, settle_size
from src.core.errors import ConfigError

DDP = {"_target_": "src.training.strategies.ddp"}
PATIENT = {**DDP, "patience_s": 5}
FSDP = {"_target_": "src.training.strategies.fsdp"}
ALONE = Place()
OF_TWO = Place(TORCHRUN, rank=1, world=2, local_world=2)
OF_FOUR = Place(SLURM, rank=2, world=4, local_world=2)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)


def _trainer(**values: object) -> DictConfig:
    standard = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto"}
    return OmegaConf.create({**standard, **values})


def _set(monkeypatch: pytest.MonkeyPatch, **variables: int | str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


def test_a_process_that_nobody_placed_stands_alone() -> None:
    assert here() == ALONE


def test_torchrun_says_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, TORCHELASTIC_RUN_ID="a", RANK=1, WORLD_SIZE=2, LOCAL_WORLD_SIZE=2)
    assert here() == OF_TWO
    assert here().rank > 0


def test_torchrun_with_one_process_is_nothing_special(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, TORCHELASTIC_RUN_ID="a", RANK=0, WORLD_SIZE=1, LOCAL_WORLD_SIZE=1)
    assert here() == ALONE


@pytest.mark.parametrize(
    ("rank", "world", "local"), [(2, 2, 2), ("one", 2, 2), (0, 3, 2), (0, 2, 0), (0, 2, 4)]
)
def test_a_place_that_cannot_be_is_refused(
    rank: int | str, world: int, local: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(monkeypatch, TORCHELASTIC_RUN_ID="a", RANK=rank, WORLD_SIZE=world)
    _set(monkeypatch, LOCAL_WORLD_SIZE=local)
    with pytest.raises(ConfigError, match=f"RANK={rank}, WORLD_SIZE={world}"):
        here()


def test_srun_says_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, SLURM_STEP_NUM_TASKS=4, SLURM_STEP_NUM_NODES=2, SLURM_PROCID=2)
    assert here() == OF_FOUR
    assert here().machines == 2


def test_a_batch_script_that_srun_did_not_start_stands_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set(monkeypatch, SLURM_JOB_ID=5, SLURM_NTASKS=4, SLURM_PROCID=0)
    assert here() == ALONE


def test_tasks_that_are_spread_unevenly_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, SLURM_STEP_NUM_TASKS=3, SLURM_STEP_NUM_NODES=2, SLURM_PROCID=0)
    with pytest.raises(ConfigError, match="--ntasks-per-node"):
        here()


@pytest.mark.parametrize(
    ("asked", "place", "devices", "nodes", "strategy"),
    [
        ({}, ALONE, 1, 1, "auto"),
        ({"devices": 2}, ALONE, 2, 1, DDP),
        ({"devices": 2, "strategy": "ddp"}, ALONE, 2, 1, DDP),
        ({"devices": 2, "strategy": PATIENT}, ALONE, 2, 1, PATIENT),
        ({"devices": "auto"}, ALONE, 1, 1, "auto"),
        ({}, OF_TWO, 2, 1, DDP),
        ({"devices": 2}, OF_TWO, 2, 1, DDP),
        ({"devices": "auto"}, OF_FOUR, 2, 2, DDP),
        ({"devices": 2, "num_nodes": 2, "strategy": "fsdp"}, OF_FOUR, 2, 2, FSDP),
    ],
)
def test_the_number_of_processes_is_settled(
    asked: dict[str, object], place: Place, devices: int, nodes: int, strategy: object
) -> None:
    trainer = _trainer(**asked)
    assert settle_size(trainer, place) == devices
    assert (trainer.devices, trainer.num_nodes, trainer.strategy) == (devices, nodes, strategy)


@pytest.mark.parametrize(
    ("asked", "place", "says"),
    [
        ({"strategy": "ddp_spawn"}, ALONE, "take trainer=ddp"),
        ({"devices": [0, 2]}, ALONE, "CUDA_VISIBLE_DEVICES=0,2"),
        ({"devices": 0}, ALONE, "must be a number, or auto"),
        ({"devices": 2, "num_nodes": 3}, ALONE, "torchrun --nnodes=3 --nproc-per-node=2"),
        ({"devices": 4}, OF_TWO, "torchrun has started 2 processes on 1 machines"),
        ({"num_nodes": 3}, OF_FOUR, "SLURM has started 2 processes on 2 machines"),
        ({"accelerator": "tpu"}, ALONE, r"accelerator=tpu is not possible; it must be auto"),
    ],
)
def test_what_cannot_be_started_is_refused(
    asked: dict[str, object], place: Place, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        settle_size(_trainer(**asked), place)


def test_an_apple_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(ConfigError, match="accelerator=mps: not on this machine"):
        settle_size(_trainer(accelerator="mps"), ALONE)


def test_cards_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"CUDA sees 1 here\. Take trainer\.devices=1"):
        settle_size(_trainer(accelerator="gpu", devices=2), ALONE)
