"""The console command: `exemplar train …` is `python -m src.train …`; alone it lists them.

Four words more restore photographs with the networks that come along: `exemplar denoise a.jpg`.
"""

import ast
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import src
from src.app.processes.process import keep_going_without_output
from src.core.errors import did_you_mean
from src.core.paths import PACKAGE
from src.weights.zoo import ZOO, zoo_names

RESTORING = {
    "denoise": ("denoise", "Remove noise"),
    "dejpeg": ("dejpeg", "Remove JPEG artefacts"),
    "demosaic": ("demosaic", "Make colours of a Bayer mosaic"),
    "upscale": ("super_resolution", "Enlarge; --scale 2, 3 or 4"),
}
"""Word → the task of `src.predict` that it stands for, and what it does."""

_PATHS = ("output", "checkpoint")
"""Keys whose values are names of files, in which any character may be."""

USAGE = """\
exemplar <word> <images> [--key value]    restores photographs, beside them

{restoring}

exemplar <command> [words]      the same as  python -m src.<command> [words]

{commands}

  exemplar <command> --help     what a command can do
  exemplar --version            {version}"""


def main() -> None:
    """Run the command that the first word names, in this process; exit with 2 if there is none.

    Nothing but that command is imported, and ``sys.argv`` is what ``python -m`` would make of it.
    """
    name, *words = sys.argv[1:] or ["--help"]
    known, restoring = commands(), restoring_words()
    if name in restoring:
        name, words = "predict", predict_words(RESTORING[name][0], words)
    if name in known:
        sys.argv[1:] = words
        runpy.run_module(f"src.{name}", run_name="__main__", alter_sys=True)
    elif name in {"-h", "--help"}:
        keep_going_without_output()
        listed = {"restoring": _lines(restoring), "commands": _lines(known)}
        print(USAGE.format(**listed, version=src.__version__))
    elif name == "--version":
        print(f"exemplar {src.__version__}")
    else:
        hint = did_you_mean(name, [*known, *restoring])
        print(f"error: {name!r} is no command. {hint}", file=sys.stderr)
        sys.exit(2)


def restoring_words() -> dict[str, str]:
    """Return the words that restore, and what each does: those whose networks come along."""
    tasks = {name.removeprefix(ZOO).rpartition("_x")[0] or name[len(ZOO) :] for name in zoo_names()}
    return {word: purpose for word, (task, purpose) in RESTORING.items() if task in tasks}


def _lines(purposes: dict[str, str]) -> str:
    return "\n".join(f"  {name:<10}  {purpose}" for name, purpose in purposes.items())


def predict_words(task: str, words: Sequence[str]) -> list[str]:
    """Return the words of `src.predict` for a task and what was typed behind its word.

    ``--key value`` and ``--key=value`` become ``key=value``, ``-o`` is ``--output``; what is a
    file, has no ``=`` or stands behind ``--`` is an image, a folder or a glob. Without a value the
    process ends with status 2.
    """
    images: list[str] = []
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in {"-h", "--help", "--resolve"}:
            others.append(word)
        elif word in {"--cfg", "-c"}:
            others += [word, next(rest, "job")]
        elif word == "--":
            images += map(_quoted, rest)
        elif word.startswith("--") or word == "-o":
            key, equals, value = ("output" if word == "-o" else word[2:]).partition("=")
            value = value if equals else next(rest, "--")
            if value.startswith("--"):
                print(f"error: {word} needs a value: {word} <value>", file=sys.stderr)
                sys.exit(2)
            others.append(f"{key}={_quoted(value) if key in _PATHS else value}")
        elif "=" in word and not Path(word).exists():
            others.append(word)
        else:
            images.append(_quoted(word))
    return [f"task={task}", *([f"input=[{','.join(images)}]"] if images else []), *others]


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "\\'") + "'"


def commands() -> dict[str, str]:
    """Return the commands and what each is for: the modules of this folder and their first words.

    They are read, not imported.
    """
    files = (file for file in sorted(PACKAGE.glob("*.py")) if not file.stem.startswith("_"))
    texts = {file.stem: ast.get_docstring(ast.parse(file.read_bytes())) for file in files}
    return {name: str(text).partition(": `")[0] for name, text in texts.items()}


if __name__ == "__main__":
    main()
