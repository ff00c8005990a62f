"""A file from anywhere is only read, by every command: nothing that it names is called."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from src import load
from src.app.sweeps.sweep import JobResult, mark
from src.core.errors import CheckpointError
from src.training.callbacks.checkpoint import BEST
from src.weights import untrusted
from src.weights.checkpoint import open_checkpoint
from src.weights.checkpoint_file import KEY, read
from src.weights.untrusted import TRUST
from tests.support.images import pixels, write
from tests.support.runs import TINY, command
from tools.hostile_files import (
    KINDS,
    OPENINGS,
    PROGRAMS,
    READERS,
    TEXTS,
    WITH_ALL,
    WORDS,
    Hostile,
    Opening,
    hostile_checkpoint,
    hostile_network,
    pairs,
    try_code,
    try_kind,
    try_text,
    try_words,
)

RESOLVER = next(kind for kind in KINDS if kind.name == WITH_ALL[1])


@pytest.mark.parametrize("opening", OPENINGS, ids=lambda opening: f"{opening.name} {opening.place}")
def test_every_command_that_opens_a_file_refuses_a_resolver_in_it(
    opening: Opening, trained: Path, tmp_path: Path
) -> None:
    try_kind(trained, RESOLVER, opening, tmp_path / "here")


def _name(value: Hostile | Opening) -> str:
    return value.name if isinstance(value, Hostile) else f"{value.name} {value.place}"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "opening"), list(pairs()), ids=_name)
def test_every_kind_of_hostile_file_is_refused(
    kind: Hostile, opening: Opening, trained: Path, tmp_path: Path
) -> None:
    try_kind(trained, kind, opening, tmp_path / "here")


@pytest.mark.parametrize("name", ["overrides: how Hydra works", "overrides: a file elsewhere"])
def test_the_saved_words_of_a_run_folder_do_not_reach_hydra(
    name: str, trained: Path, tmp_path: Path
) -> None:
    try_words(trained, *WORDS[name], tmp_path / "here")


@pytest.mark.parametrize("file", ["config.yaml", "overrides.yaml"])
@pytest.mark.parametrize(("text", "says"), TEXTS.values(), ids=TEXTS)
def test_yaml_that_grows_when_it_is_read_is_refused_before(
    text: str, says: str, file: str, trained: Path, tmp_path: Path
) -> None:
    try_text(trained, file, text, says, tmp_path / "here")


@pytest.mark.filterwarnings("ignore:.*TorchScript", "ignore:.*torch.jit")
@pytest.mark.parametrize("make", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("name", READERS)
def test_published_weights_that_hold_code_are_refused_without_torchs_advice(
    name: str, make: Callable[[Path, Path], object], tmp_path: Path
) -> None:
    try_code(name, make, tmp_path / "here")


def test_a_job_of_a_sweep_is_noted_in_its_own_folder_whatever_it_says(tmp_path: Path) -> None:
    job, other = tmp_path / "0", tmp_path / "other"
    JobResult(0, [], str(job)).write()
    file = job / "sweep_job.json"
    file.write_text(file.read_text().replace(str(job), str(other)), encoding="utf-8")
    mark(job, "pruned")
    assert not other.exists()
    assert json.loads(file.read_text(encoding="utf-8"))["status"] == "pruned"


def _put(run: Path, key: str, value: object) -> None:
    """Edit config.yaml by hand."""
    file = run / "config.yaml"
    node = config = yaml.safe_load(file.read_text(encoding="utf-8"))
    *above, last = key.split(".")
    for name in above:
        node = node.setdefault(name, {})
    node[last] = value
    file.write_text(yaml.safe_dump(config), encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize(
    "key",
    ["callbacks.checkpoint_last.dirpath", "callbacks.x.path", "logger.csv.save_dir",
     "trainer.default_root_dir"],
)  # fmt: skip
def test_a_run_folder_does_not_write_into_another(key: str, run: Path, tmp_path: Path) -> None:
    if key == "callbacks.x.path":
        _put(run, "callbacks.x._target_", "src.training.callbacks.lr_finder.LearningRateFinder")
    _put(run, key, f"{run}/../another")
    done = command("train", f"resume={run}", "trainer.max_steps=3")
    assert done.code == 1
    assert f"{key}={run}/../another is outside of the run folder" in done.err
    assert not (tmp_path / "another").exists()


@pytest.mark.long
@pytest.mark.parametrize("key", ["data.cache_dir", "logger.x.store", "callbacks.x.storage"])
def test_a_run_that_goes_on_writes_to_no_place_that_was_never_given_here(
    key: str, run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXEMPLAR_CACHE", str(tmp_path / "cache"))
    place = f"sqlite:///{tmp_path}/hers" if key.endswith("storage") else f"{tmp_path}/hers"
    if key == "logger.x.store":
        target = "src.training.loggers.mlflow_run.MLflowRun"
        _put(run, "logger.x", {"_target_": target, "save_dir": str(run)})
    elif key == "callbacks.x.storage":
        target = "src.training.callbacks.report_to_study.ReportToStudy"
        node = {"_target_": target, "study": "x", "trial": 0, "monitor": "val/psnr"}
        _put(run, "callbacks.x", node)
    _put(run, key, place)
    words = (f"resume={run}", "trainer.max_steps=3", "data.cache=on")
    done = command("train", *words)
    assert done.code == 1
    assert f"{key}={place} was never given on this machine" in done.err
    assert not (tmp_path / "hers").exists()
    if key == "data.cache_dir":
        for again in ((f"data.cache_dir={place}",), ()):  # it is known from then on
            assert command("train", *words, *again).code == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", "x"), ("seed", -1), ("freeze", 3), ("inference", 3), ("trainer.precision", "x")],
)
def test_a_value_of_another_kind_in_a_run_folder_is_refused_by_name(
    key: str, value: object, run: Path
) -> None:
    _put(run, key, value)
    done = command("train", f"resume={run}", "trainer.max_steps=3")
    assert done.code in {1, 2}
    assert "Traceback" not in done.err
    assert f"error: {run}/config.yaml: {key}={value}" in done.err


@pytest.mark.long
def test_a_refused_start_leaves_no_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    run = tmp_path / "mine/denoise/tiny/1"
    words = (f"data.train_dir={tmp_path}/nowhere", f"hydra.run.dir={run}")
    assert command("train", *TINY, "data=folder", *words).code == 1
    assert [*tmp_path.rglob("*")] == [tmp_path / "mine"]


@pytest.mark.long
def test_what_a_state_was_refused_for_is_in_crash_log(run: Path) -> None:
    path = run / "checkpoints/last.ckpt"
    content = read(path)
    content["loops"] = {}
    torch.save(content, path)
    done = command("train", f"resume={run}", "trainer.max_steps=3")
    assert f"The traceback is also in {run}/crash.log" in done.err
    assert "KeyError" in (run / "crash.log").read_text(encoding="utf-8")


@pytest.mark.long
def test_the_cache_of_an_evaluation_is_this_machines_and_only_entries_leave_it(
    run: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "precious/ab/features.npy"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    path = run / "checkpoints" / BEST
    content = read(path)
    image = write(tmp_path / "set/a.png", pixels(40, 48))
    content[KEY]["config"]["data"] = {
        "_target_": "src.data.folders.folder_data",
        "train_dir": None,
        "val_dir": str(image.parent),
        "cache_dir": str(tmp_path / "precious"),
        "cache_limit_gb": 0.0,
    }
    torch.save(content, path)
    words = (f"checkpoint={path}", f"output={tmp_path}/out")
    done = command("evaluate", *words, f"paths.cache_dir={tmp_path}/cache")
    assert done.code == 0, done.err
    assert [file.name for file in theirs.parents[1].rglob("*")] == ["ab", "features.npy"]


@pytest.mark.long
def test_trust_is_asked_for_by_name_and_then_every_command_opens_the_file(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "her_own_loss.py").write_text(
        "from torch import nn\n\n\nclass Loss(nn.L1Loss):\n    pass\n", encoding="utf-8"
    )
    (tmp_path / "in").mkdir()
    write(tmp_path / "in/a.png", pixels(20, 24))
    monkeypatch.syspath_prepend(tmp_path)
    for path in (run / "checkpoints").iterdir():
        content = read(path)
        content[KEY]["config"]["loss"]["_target_"] = "her_own_loss.Loss"
        torch.save(content, path)
    file = run / "config.yaml"
    text = file.read_text(encoding="utf-8").replace("torch.nn.L1Loss", "her_own_loss.Loss")
    file.write_text(text, encoding="utf-8")
    asked = {
        "evaluate": (f"checkpoint={run}", f"output={tmp_path}/scores"),
        "predict": (f"checkpoint={run}", f"input={tmp_path}/in", f"output={tmp_path}/out"),
        "train": (*TINY, "trainer.max_steps=1", f"weights={run}", f"hydra.run.dir={tmp_path}/new"),
    }
    asked = {**asked, "resume": (f"resume={run}", "trainer.max_steps=3")}
    for name, words in asked.items():
        done = command("train" if name == "resume" else name, *words)
        assert done.code == 1
        assert f"{TRUST}=her_own_loss.Loss python -m" in done.err
    monkeypatch.setenv(TRUST, "her_own_loss.Loss")
    for name, words in asked.items():
        untrusted._say_trusted.cache_clear()  # once in a process
        done = command("train" if name == "resume" else name, *words)
        assert done.code == 0, done.err
        said = done.out + done.err
        assert re.search(r"Trusted, as you asked: \S+ calls her_own_loss\.Loss", said), name


def test_a_link_out_of_a_run_folder_is_refused_before_anything_is_written(
    trained: Path, tmp_path: Path
) -> None:
    run, victim = tmp_path / "run", tmp_path / "victim"
    shutil.copytree(trained, run)
    victim.write_text("mine")
    (run / "train.log").unlink()
    (run / "train.log").symlink_to(victim)
    done = command("train", f"resume={run}", "trainer.max_steps=3")
    assert done.code == 1
    assert f"is a link to {victim}" in done.err
    assert victim.read_text() == "mine"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("paths.output_dir={other}", "writes into its own folder"),
        ("+loss@_global_.hydra.callbacks.x=l1", "may not say how Hydra works"),
    ],
)
def test_saved_words_lead_neither_into_another_run_nor_into_hydra(
    word: str, says: str, trained: Path, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    for folder in (run, other):
        shutil.copytree(trained, folder)
    words = yaml.safe_load((run / "overrides.yaml").read_text())
    (run / "overrides.yaml").write_text(yaml.safe_dump([*words, word.format(other=other)]))
    done = command("train", f"resume={run}", "trainer.max_steps=3")
    assert done.code == 1
    assert says in done.err
    assert not (other / "resumed.jsonl").exists()


@pytest.mark.long
def test_a_sweep_folder_from_elsewhere_is_not_composed_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXEMPLAR_CACHE", str(tmp_path / "cache"))
    sweep, mark = tmp_path / "sweep", tmp_path / "ran"
    words = (*TINY, "trainer.max_steps=1", "trainer.val_check_interval=1", "resume=auto")
    grid = ("-m", *words, "seed=0,1", f"hydra.sweep.dir={sweep}")
    assert command("train", *grid).code == 0
    shutil.rmtree(sweep / "1")
    callback = (
        f"{{_target_: pathlib.Path.touch, self: {{_target_: pathlib.Path, _args_: [{mark}]}}}}"
    )
    with (sweep / "frozen/0/hydra/default.yaml").open("a", encoding="utf-8") as file:
        file.write(f"\ncallbacks: {{x: {callback}}}\n")
    done = command("train", *grid)
    assert done.code == 1
    assert "differ from yours" in done.err
    assert not mark.exists()


@pytest.mark.long
def test_a_start_that_failed_before_training_does_not_block_the_corrected_one(
    tmp_path: Path,
) -> None:
    words = (*TINY, "trainer.max_steps=1", f"hydra.run.dir={tmp_path / 'run'}")
    failed = command("train", *words, "data=folder", f"data.train_dir={tmp_path / 'nowhere'}")
    assert failed.code == 1
    done = command("train", *words)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("callbacks", [1]), ("loops", "x"), ("optimizer_states", {}), ("global_step", "x")),
        *(("state_dict", {"net.a": "x"}), ("pytorch-lightning_version", 2)),
        *((f"{KEY}.version", None), (f"{KEY}.run_ids", [1])),
    ],
)
def test_a_checkpoint_of_another_form_is_refused_in_a_sentence(
    key: str, value: object, run: Path
) -> None:
    path = run / "checkpoints/best.ckpt"
    content = read(path)
    *above, last = key.split(".")
    (content[above[0]] if above else content)[last] = value
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="not written by this project"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "lacking", ["global_step", f"{KEY}.config.model", f"{KEY}.config.io.scale",
                f"{KEY}.config.channels_last", f"{KEY}.config.inference"]
)  # fmt: skip
def test_a_checkpoint_that_lacks_what_every_one_has_is_refused_by_name(
    lacking: str, run: Path
) -> None:
    path = run / "checkpoints/best.ckpt"
    content = read(path)
    node, (*above, last) = content, lacking.split(".")
    for name in above:
        node = node[name]
    del node[last]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=f"not written by this project.*{last}"):
        load(path)


@pytest.mark.long
@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("loops", {}), ("optimizer_states", [{}]), ("state_dict", {})),
        *(("pytorch-lightning_version", "x"), (f"{KEY}.images", {"train": {}})),
        *(("lr_schedulers.0.step", "x"), ("lr_schedulers.0.last_epoch", "x")),
        ("optimizer_states.0.param_groups.0.lr", "x"),
    ],
)
def test_a_state_that_a_run_cannot_take_up_is_the_fault_of_its_file(
    key: str, value: object, run: Path
) -> None:
    path = run / "checkpoints/last.ckpt"
    content = node = read(path)
    *above, last = key.split(".")
    for name in above:
        node = node[int(name) if name.isdigit() else name]
    node[last] = value
    torch.save(content, path)
    (run / "run_ids.json").write_text("[1]", encoding="utf-8")
    done = command("train", f"resume={run}", "trainer.max_steps=3")
    assert done.code in {1, 2}, done.err
    assert "Traceback" not in done.err
    assert "state does not fit this run" in done.err or "some were added" in done.err
    done = command("train", f"resume={run}", "logger=wandb", "logger.wandb.mode=disabled")
    assert "run_ids.json is damaged; remove it" in done.err


@pytest.mark.parametrize(
    "wrong", [{"channels": "x"}, {"channels": -3}, {"no_such": 1}, {"attention": None}], ids=str
)
def test_a_network_that_cannot_be_built_is_the_fault_of_its_file(
    wrong: dict[str, object], trained: Path, tmp_path: Path
) -> None:
    kind = Hostile("", "", lambda config, mark: config["model"].update(wrong))
    for path, write_with in (
        (tmp_path / "net.ckpt", hostile_checkpoint),
        (tmp_path / "net.safetensors", hostile_network),
    ):
        with pytest.raises(CheckpointError, match=f"{path.name}.* not fit its own network"):
            load(write_with(trained, kind, path, tmp_path))


@pytest.mark.long
def test_a_run_from_elsewhere_sends_no_key_to_a_server_that_it_names(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXEMPLAR_CACHE", str(tmp_path / "cache"))
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    server = "http://hers.invalid"
    config["logger"]["x"] = {**config["logger"]["csv"], "tracking_uri": server}
    config["logger"]["x"]["_target_"] = "src.training.loggers.mlflow_run.MLflowRun"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    words = (f"resume={run}", "trainer.max_steps=3")
    done = command("train", *words)
    assert done.code == 1
    assert f"logger.x.tracking_uri={server}" in done.err
    assert "gets the keys of this machine" in done.err
    done = command("train", *words, f"+logger.x.tracking_uri={server}")
    assert "gets the keys of this machine" not in done.err
    assert "gets the keys of this machine" not in command("train", *words).err  # it is known now
