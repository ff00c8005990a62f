"""Files that would run a program, write a secret or build what is not listed, and who opens them.

``python -m tools.hostile_files`` tries each with every command that opens one, and prints
what was said as a Markdown table (experiments/untrusted/table.md); it fails if anything ran or was
written.
"""

import functools
import json
import os
import pickle
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import yaml

from src import load, restore
from src.core.errors import ExemplarError
from src.weights.checkpoint import open_checkpoint
from src.weights.checkpoint_file import read
from src.weights.network_file import write_network
from tests.support.runs import TINY, Finished, command, train_tiny

SECRET_NAME, SECRET = "EXEMPLAR_TEST_SECRET", "the-secret-of-this-machine"

Edit = Callable[[dict[str, Any], str], object]

CHECKPOINT, NETWORK, RUN = "checkpoint", "network", "run folder"


@dataclass(frozen=True)
class Hostile:
    """One way to be hostile in a configuration."""

    name: str  # what it is
    says: str  # what the refusal must contain
    edit: Edit  # puts it into a configuration; its second argument is a file that must not appear
    # Which files can hold it: JSON and YAML have no tuples, a network only a model.
    places: tuple[str, ...] = (CHECKPOINT, NETWORK, RUN)


def _call(target: str, /, **arguments: object) -> Hostile:
    def edit(config: dict[str, Any], mark: str) -> None:
        given = {key: str(value).replace("MARK", mark) for key, value in arguments.items()}
        config["model"]["blocks"] = {"_target_": target, **given}

    return Hostile(target, repr(target), edit)


def _at(section: str, says: str, node: Mapping[str, object]) -> Hostile:
    """Return a node of its own at an unexpected place."""

    def edit(config: dict[str, Any], mark: str) -> None:
        above = config
        *names, last = section.split(".")
        for name in names:
            above = above.setdefault(name, {})
        above[last] = json.loads(json.dumps(node).replace("MARK", mark))

    places = (CHECKPOINT, NETWORK, RUN) if section.startswith("model") else (CHECKPOINT, RUN)
    return Hostile(f"{next(iter(node.values()))} at {section}", says, edit, places)


def _value(
    name: str, says: str, value: Callable[[str], object], places: tuple[str, ...] | None = None
) -> Hostile:
    def edit(config: dict[str, Any], mark: str) -> None:
        config["model"]["attention_sites"] = value(mark)

    return Hostile(name, says, edit, places or (CHECKPOINT, NETWORK, RUN))


def _touch(mark: str) -> dict[str, str]:
    return {"_target_": "os.system", "command": f"touch {mark}"}


def _endless(mark: str) -> list[object]:
    loop: list[object] = []
    loop.append(loop)
    return loop


def _doubling(mark: str) -> list[object]:
    node: list[object] = [0]
    for _ in range(35):
        node = [node, node]
    return node


SHELL = {"_target_": "os.system", "command": "touch MARK"}

CALLS = [
    _call("os.system", command="touch MARK"),
    _call("posix.system", command="touch MARK"),
    _call("subprocess.getoutput", cmd="touch MARK"),
    _call("builtins.exec", source="open('MARK', 'w')"),
    _call("builtins.eval", source="open('MARK', 'w')"),
    _call("functools.partial", func="os.system"),
    _call("concurrent.futures.ProcessPoolExecutor"),
    _call("pathlib.Path.touch", self="MARK"),
    _call("shutil.rmtree", path="MARK"),
    _call("hydra.utils.instantiate", config="MARK"),
    _call("hydra.utils.call", config="MARK"),
    _call("omegaconf.OmegaConf.create", obj="MARK"),
    _call("torch.utils.cpp_extension.load_inline", name="x", cpp_sources="MARK"),
    _call("torch.jit.CompilationUnit", lang="MARK"),
    _call("torch.hub.load", repo_or_dir="MARK", model="x"),
    _call("torch.load", f="MARK"),
    _call("torch.save", obj="x", f="MARK"),
    _call("torch.nn.Module.load_state_dict"),
    _call("torch.optim.lr_scheduler.LambdaLR", lr_lambda="MARK"),
    _call("torchmetrics.utilities.imports.subprocess.getoutput", cmd="touch MARK"),
    _call("lightning.pytorch.loggers.CSVLogger", save_dir="MARK"),
    _call("lightning.pytorch.cli.LightningCLI", args="MARK"),
    _call("lightning.pytorch.trainer.trainer.os.system", command="touch MARK"),
    _call("numpy.save", file="MARK", arr="x"),
    _call("src.core.paths.Path", args="MARK"),
    _call("src.data.cache.ThreadPoolExecutor"),
    _call("src.core.files.remove_leftovers", folder="MARK"),
    _call("src.data.image_io.write_png", path="MARK"),
    _call("src.app.run_folder.write_json", path="MARK", content="x"),
    _call("src.app.config.validate.locate", dotted="os.system"),
    _call("src.models.attention.ATTENTION.register", paper="MARK"),
    _call("tests.support.images.write_folder", folder="MARK", count="1"),
    _call("tests.support.runs.command", name="train"),
    _call("${oc.decode:os.system}"),
    _call("OS.system"),
    _call("\N{FULLWIDTH LATIN SMALL LETTER O}s.system"),
]

PLACES = [
    *(_at(f"{name}.x", "'os.system'", SHELL) for name in ("model", "callbacks", "logger", "hydra")),
    *(_at(name, "'os.system'", SHELL) for name in ("inference", "task", "data.benchmarks.x")),
    *(_at(name, "'os.system'", SHELL) for name in ("trainer.strategy", "io.scale", "protocol")),
    _at(
        "model",
        "'src.training.loggers.mlflow_run.MLflowRun' (model)",
        {"_target_": "src.training.loggers.mlflow_run.MLflowRun", "save_dir": "MARK"},
    ),
    _at(
        "loss",
        "'lightning.pytorch.Trainer' (loss)",
        {"_target_": "lightning.pytorch.Trainer", "default_root_dir": "MARK"},
    ),
    _at(
        "inference",
        "'src.models.backbones.untrained.Identity' (inference)",
        {"_target_": "src.models.backbones.untrained.Identity"},
    ),
]

VALUES = [
    _value(
        "a resolver that makes a node",
        "model.attention_sites holds an interpolation",
        lambda mark: f"${{oc.create:{{_target_: os.system, command: touch {mark}}}}}",
    ),
    _value("a reference", "holds an interpolation", lambda mark: "${model._target_}"),
    _value("an escaped resolver", "holds an interpolation", lambda mark: r"\${oc.env:HOME}"),
    _value("a key that is a resolver", "no plain word", lambda mark: {"${oc.env:HOME}": 1}),
    _value("a node in a tuple", "'os.system'", lambda mark: ((_touch(mark),),), (CHECKPOINT,)),
    _value("a node in a list in a list", "'os.system'", lambda mark: [[_touch(mark)]]),
    _value("a node in a node", "'os.system'", lambda mark: {"a": {"b": _touch(mark)}}),
    _value("_args_", "_args_ would change", lambda mark: {"_args_": [f"touch {mark}"]}),
    _value("_recursive_", "_recursive_ would", lambda mark: {"_recursive_": False}),
    _value("_convert_", "_convert_ would", lambda mark: {"_convert_": "object"}),
    _value(
        "_partial_ that is a node",
        "neither true nor false",
        lambda mark: {"_partial_": _touch(mark)},
    ),
    _value("_target_ that is a list", "no dotted name", lambda mark: {"_target_": ["os", "x"]}),
    _value("_target_ that is a node", "no dotted name", lambda mark: {"_target_": {"a": 1}}),
    _value("a tensor", "is a Tensor and no plain", lambda mark: torch.zeros(2), (CHECKPOINT,)),
    _value("a type of torch", "is a dtype and no", lambda mark: torch.float32, (CHECKPOINT,)),
    _value("bytes", "is a bytes and no plain", lambda mark: b"x", (CHECKPOINT,)),
    _value("a list that contains itself", "is larger than any", _endless, (CHECKPOINT,)),
    _value("a list of 2³⁵ numbers", "is larger than any", _doubling, (CHECKPOINT,)),
    Hostile(
        "a metric that is a word",
        "metrics describes nothing to build",
        lambda config, mark: config["metrics"].update(psnr="tests.support.runs.command"),
        (CHECKPOINT, RUN),
    ),
    Hostile(
        "a network of no class",
        "model describes nothing to build",
        lambda config, mark: config["model"].pop("_target_"),
    ),
    Hostile(
        "half of a network",
        "model describes nothing to build",
        lambda config, mark: config["model"].update(_partial_=True),
    ),
    Hostile(
        "a number for a section",
        "task describes nothing to build",
        lambda config, mark: config.update(task=3),
        (CHECKPOINT, RUN),
    ),
    Hostile(
        "a secret of the environment",
        "protocol.name holds an interpolation",
        lambda config, mark: config["protocol"].update(name=f"${{oc.env:{SECRET_NAME}}}"),
        (CHECKPOINT, RUN),
    ),
]

_STORE = "src.training.loggers.mlflow_run.MLflowRun"
_STUDY = "src.training.callbacks.report_to_study.ReportToStudy"
_FINDER = "src.training.callbacks.lr_finder.LearningRateFinder"


def _elsewhere(key: str, says: str, **node: object) -> Hostile:
    """Return a place to be written to, of a part with these other arguments."""

    def edit(config: dict[str, Any], mark: str) -> None:
        section, *name, last = key.split(".")
        above = config[section].setdefault(name[0], dict(node)) if name else config[section]
        if section == "logger":
            above["save_dir"] = config[section]["csv"]["save_dir"]
        above[last] = f"sqlite:///{mark}" if last == "storage" else mark

    return Hostile(f"{key} elsewhere", says, edit, (RUN,))


WRITING = [
    _elsewhere("data.cache_dir", "was never given on this machine"),
    _elsewhere("logger.x.store", "was never given on this machine", _target_=_STORE),
    _elsewhere("callbacks.x.storage", "was never given on this machine", _target_=_STUDY,
               study="x", trial=0, monitor="val/psnr"),
    _elsewhere("callbacks.x.path", "outside of the run folder", _target_=_FINDER),
    _elsewhere("trainer.default_root_dir", "outside of the run folder"),
    Hostile("a seed that is a word", "seed=x is not possible",
            lambda config, mark: config.update(seed="x"), (RUN,)),
]  # fmt: skip
"""What a run that goes on would write to, and a value that no command line could have."""

KINDS = [*CALLS, *PLACES, *VALUES, *WRITING]

WITH_ALL = ("os.system", "a resolver that makes a node", "a secret of the environment")
"""Kinds that are tried with every command; the others with one of each sort of file."""

WORDS = {
    "overrides: a flag": ("--config-dir=MARK", "key=value"),
    "overrides: how Hydra works": (
        "hydra.job_logging.handlers.x={class: os.system, command: touch MARK}",
        "how Hydra works",
    ),
    "overrides: a callback of Hydra": (
        "+hydra.callbacks.x={_target_: os.system, command: touch MARK}",
        "how Hydra works",
    ),
    "overrides: a launcher": ("hydra/launcher=submitit_local", "how Hydra works"),
    "overrides: a search path": ("hydra.searchpath=[file://MARK]", "how Hydra works"),
    "overrides: Hydra's package": ("+local@hydra.job=x", "how Hydra works"),
    "overrides: a target": ("+callbacks.x._target_=os.system", "'os.system'"),
    "overrides: a node": ("+callbacks.x={_target_: os.system}", "'os.system'"),
    "overrides: a resolver": ("seed=${oc.env:HOME}", "interpolation"),
    "overrides: a nested resolver": ("seed=${${oc.env:HOME}}", "refused"),
    "overrides: a file elsewhere": ("experiment=../../MARK", "outside of the configuration"),
    "overrides: an absolute file": ("+experiment=/MARK", "outside of the configuration"),
    "overrides: a list of files": ("+experiment=[MARK/../x]", "outside of the configuration"),
    "overrides: a sweep": ("seed=choice(1,2)", "one value of each key"),
}
"""Words in a run folder's ``overrides.yaml``, and what the refusal must contain."""


_BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 8))
TEXTS = {
    "a list of lists of lists by alias": (f"a0: &a0 [x]\n{_BOMB}", "refers to a part of itself"),
    "a list that contains itself by alias": ("a: &a [*a]\n", "refers to a part of itself"),
    "a thousand brackets": ("a: " + "[" * 1000 + "]" * 1000 + "\n", "larger than any"),
    "ten megabytes": ("# " + "x" * 10_000_000 + "\n", "longer than any"),
}
"""YAML in place of that of a run folder, and what the refusal must contain."""


class _Code:
    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.mark}",))


def write_pickle(path: Path, mark: Path, *, zipped: bool) -> Path:
    """Write a file whose loading by Python's own pickle would make ``mark``."""
    content = {"params": _Code(str(mark))}
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def write_script(path: Path) -> Path:
    """Write a TorchScript archive, which is a program."""
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), path)  # type: ignore[no-untyped-call]
    return path


PYTHON: dict[str, Callable[[Path], object]] = {
    "load() in Python": load,
    "restore() in Python": lambda file: restore(np.zeros((16, 16, 3), np.uint8), checkpoint=file),
}


def from_python(opening: Callable[[Path], object], file: Path) -> Finished:
    """Open a file with what ``src`` offers to Python; only its own errors count as a refusal."""
    try:
        opening(file)
    except ExemplarError as error:
        return Finished(1, "", f"error: {error}")
    return Finished(0, "", "")


PROGRAMS: dict[str, Callable[[Path, Path], object]] = {
    "a pickle in a zip": functools.partial(write_pickle, zipped=True),
    "a pickle": functools.partial(write_pickle, zipped=False),
    "TorchScript": lambda path, mark: write_script(path),
}
"""Files that are programs, given for published weights."""

READERS = ("convert", "predict", "evaluate", *PYTHON)
"""What published weights are given to."""


def hostile_checkpoint(trained: Path, kind: Hostile, path: Path, mark: Path) -> Path:
    """Write a checkpoint like that of the run ``trained``, with ``kind`` in it."""
    content = read(trained / "checkpoints/best.ckpt")
    kind.edit(content["restoration"]["config"], str(mark))
    torch.save(content, path)
    return path


def hostile_network(trained: Path, kind: Hostile, path: Path, mark: Path) -> Path:
    """Write the network of the run ``trained`` as .safetensors, with ``kind`` in it."""
    opened = open_checkpoint(trained)
    config = yaml.safe_load((trained / "config.yaml").read_text(encoding="utf-8"))
    kind.edit(config, str(mark))
    write_network(path, opened.weights, config["model"], {})
    return path


def hostile_run(trained: Path, kind: Hostile, folder: Path, mark: Path) -> Path:
    """Copy the run ``trained`` into ``folder``, with ``kind`` in its config.yaml."""
    shutil.copytree(trained, folder)
    file = folder / "config.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    kind.edit(config, str(mark))
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Opening:
    """One command that opens one sort of file."""

    name: str  # the command and its key, e.g. ``train resume=``
    place: str  # what it opens
    # What is typed; ``{file}`` stands for the file, ``{here}`` for a scratch folder.
    words: tuple[str, ...]

    def run(self, file: Path, here: Path) -> Finished:
        """Run the command with a secret in its environment; return how it ended."""
        words = (word.format(file=file, here=here) for word in self.words)
        with mock.patch.dict(os.environ, {SECRET_NAME: SECRET}):
            if self.name in PYTHON:
                return from_python(PYTHON[self.name], file)
            return command(self.name.split()[0], *words)


_NEW = (*TINY, "trainer.max_steps=1", "hydra.run.dir={here}/new", "weights={file}")
_PREDICT = ("checkpoint={file}", "input={here}/in", "output={here}/out")
OPENINGS = [
    Opening("train weights=", CHECKPOINT, _NEW),
    Opening("train weights=", NETWORK, _NEW),
    Opening("train resume=", CHECKPOINT, ("resume={here}/run",)),
    Opening("train resume=", RUN, ("resume={file}",)),
    Opening("evaluate", CHECKPOINT, ("checkpoint={file}", "output={here}/out")),
    Opening(
        "evaluate",
        NETWORK,
        ("checkpoint={file}", "task=denoise", "data=synthetic", "output={here}/out"),
    ),
    Opening("predict", CHECKPOINT, _PREDICT),
    Opening("predict", NETWORK, _PREDICT),
    Opening("export", CHECKPOINT, ("checkpoint={file}", "output={here}/out.safetensors")),
    Opening("export", NETWORK, ("checkpoint={file}", "output={here}/out.safetensors")),
    *(Opening(name, file, ()) for name, file in product(PYTHON, (CHECKPOINT, NETWORK))),
]

WORD_OPENINGS = (
    ("train", "resume"),
    ("evaluate", "checkpoint", "output={here}/out"),
    ("predict", "checkpoint", *_PREDICT[1:]),
    ("export", "checkpoint", "output={here}/out.safetensors"),
)
"""Command, key and further words of those that read the saved words of a run folder."""

WRITERS = {CHECKPOINT: hostile_checkpoint, NETWORK: hostile_network, RUN: hostile_run}
NAMES = {CHECKPOINT: "net.ckpt", NETWORK: "net.safetensors", RUN: "run"}


def try_kind(trained: Path, kind: Hostile, opening: Opening, here: Path) -> str:
    """Let a command open a hostile file; return what it said.

    Raises:
        AssertionError: If it was not refused in the words expected, or anything was made.
    """
    here.mkdir()
    file = here / NAMES[opening.place]
    if opening.name == "train resume=" and opening.place == CHECKPOINT:
        file = Path(shutil.copytree(trained, here / "run")) / "checkpoints/last.ckpt"
    WRITERS[opening.place](trained, kind, file, here / "ran")
    before = everything(here)
    done = opening.run(file, here)
    return refusal(done, kind.says, here, before)


def try_words(
    trained: Path, word: str, says: str, here: Path, *, opening: Sequence[str] = ("train", "resume")
) -> str:
    """Open a run whose overrides.yaml contains ``word``; see :func:`try_kind`.

    Args:
        trained: A run.
        word: Where it contains MARK, the path of a file that must not appear.
        says: What the refusal must contain.
        here: Scratch folder, to be made.
        opening: Command and key that take the run's folder.
    """
    here.mkdir()
    shutil.copytree(trained, here / "run")
    text = yaml.safe_dump([*TINY, word.replace("MARK", str(here / "ran"))])
    (here / "run/overrides.yaml").write_text(text, encoding="utf-8")
    before = everything(here)
    name, key, *words = opening
    done = command(name, f"{key}={here / 'run'}", *(text.format(here=here) for text in words))
    return refusal(done, says, here, before)


def try_comparison(word: str, says: str, here: Path) -> str:
    """Run a comparison with ``word`` among those of all cells; see :func:`try_kind`."""
    (here / "c").mkdir(parents=True)
    fixed = [*TINY, word.replace("MARK", str(here / "ran"))]
    content = {"title": "x", "fixed": fixed, "factors": {"seed": {"0": "seed=0"}}, "reference": {}}
    (here / "c/comparison.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    before = everything(here)
    return refusal(command("compare", str(here / "c")), says, here, before)


def try_text(trained: Path, file: str, text: str, says: str, here: Path) -> str:
    """Resume a run with another ``file`` of this ``text``; see :func:`try_kind`."""
    here.mkdir()
    shutil.copytree(trained, here / "run")
    (here / "run" / file).write_text(text, encoding="utf-8")
    before = everything(here)
    return refusal(command("train", f"resume={here / 'run'}"), says, here, before)


def everything(folder: Path) -> dict[str, bytes]:
    """Return all files below ``folder``; logs without a word and locks do not count."""
    files = {file for file in folder.rglob("*") if file.is_file() and file.name != ".lock"}
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in files
        if file.suffix != ".log" or file.stat().st_size
    }


def refusal(done: Finished, says: str, here: Path, before: Mapping[str, bytes]) -> str:
    """Return the one sentence of a refusal after which everything in ``here`` is as before."""
    assert done.code in {1, 2}, (done.code, done.out, done.err)
    assert "Traceback" not in done.err, done.err
    assert says in done.err, done.err
    assert "weights_only" not in done.err, done.err
    assert SECRET not in done.out + done.err, done.err
    assert everything(here) == before, set(everything(here)) ^ set(before)
    return done.err[done.err.rfind("error: ") :].strip()


def try_code(name: str, make: Callable[[Path, Path], object], here: Path) -> str:
    """Give a file that is a program for published weights; see :func:`try_kind`."""
    here.mkdir()
    file = here / "weights.pt"
    make(file, here / "ran")
    words = {
        "convert": (f"source={file}", f"output={here}/net.safetensors"),
        "predict": (f"checkpoint={file}", f"input={here}", f"output={here}/out"),
        "evaluate": (f"checkpoint={file}", "task=denoise", f"output={here}/out"),
    }
    before = everything(here)
    if name in PYTHON:
        done = from_python(PYTHON[name], file)
    else:
        done = command(name, "architecture=dncnn", *words[name], f"paths.output_root={here}/o")
    said = refusal(done, str(file), here, before)
    assert "safe_globals" not in said, said
    return said


TITLE = """# Hostile files, and the sentence that refuses each

Made by `python -m tools.hostile_files`; see
[what a file may do](../../docs/explanation/what-a-file-may-do.md). In each try nothing ran, and
nothing was written or printed of the environment.

"""

Try = Callable[[Path], str]


def pairs() -> Iterator[tuple[Hostile, Opening]]:
    """Yield each kind in each file with one of the commands in turn, and some with all of them."""
    for number, kind in enumerate(KINDS):
        for place in kind.places:
            openings = [opening for opening in OPENINGS if opening.place == place]
            chosen = openings if kind.name in WITH_ALL else [openings[number % len(openings)]]
            yield from ((kind, opening) for opening in chosen)


def _tries(trained: Path) -> Iterator[tuple[str, str, Try]]:
    """Yield kind, command with its sort of file, and what tries them in a scratch folder."""
    part = functools.partial
    for name, (kind, make) in product(READERS, PROGRAMS.items()):
        yield kind, f"{name} (published weights)", part(try_code, name, make)
    for hostile, opening in product(KINDS, OPENINGS):
        if opening.place in hostile.places:
            way = part(try_kind, trained, hostile, opening)
            yield hostile.name, f"{opening.name} ({opening.place})", way
    for (kind, (text, says)), file in product(TEXTS.items(), ("config.yaml", "overrides.yaml")):
        yield kind, f"train resume= ({file})", part(try_text, trained, file, text, says)
    for (kind, (word, says)), words in product(WORDS.items(), WORD_OPENINGS):
        way = part(try_words, trained, word, says, opening=words)
        yield kind, f"{words[0]} {words[1]}= ({RUN})", way
    for kind, (word, says) in WORDS.items():
        yield kind, "compare (comparison.yaml)", part(try_comparison, word, says)


def main() -> None:
    """Print the table, a row a sentence; exit with 1 if a file was not refused."""
    rows: dict[tuple[str, str], list[str]] = {}
    failed = count = 0
    with tempfile.TemporaryDirectory() as place:
        train_tiny(Path(place) / "trained")
        for kind, name, way in _tries(Path(place) / "trained"):
            here = Path(place) / str(count)
            try:
                said = way(here).partition("\n")[0]
            except AssertionError as error:
                said, failed = f"NOT REFUSED AS EXPECTED: {error}", failed + 1
            said = re.sub(rf"{here}/(net\.\w+|run/[\w./]+|weights\.pt)", "FILE", said)
            said = said.replace(str(here), "…").removeprefix("error: ").replace("|", "\\|")
            rows.setdefault((kind, said), []).append(name)
            count += 1
            shutil.rmtree(here, ignore_errors=True)
    lines = [f"| {kind} | {', '.join(names)} | {said} |" for (kind, said), names in rows.items()]
    head = f"{TITLE}{count} tries, {failed} not refused as expected."
    sys.stdout.write(
        "\n".join([head, "", "| kind | command | refused by |", "|---|---|---|", *lines])
    )
    sys.stdout.write("\n")
    sys.exit(int(failed > 0))


if __name__ == "__main__":
    main()
