"""The console command: `exemplar train …` is `python -m src.train …`; alone it lists them.

Four words more restore photographs with the networks that come along: `exemplar denoise a.jpg`.
"""

import ast
import difflib
import glob
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import src
from src.app.processes.process import keep_going_without_output
from src.core.errors import did_you_mean
from src.core.paths import PACKAGE, quoted, with_home
from src.core.redact import readable
from src.weights.zoo import ENLARGING, ZOO, result_ending, zoo_names

RESTORING = {
    "denoise": ("denoise", "Remove noise"),
    "dejpeg": ("dejpeg", "Remove JPEG artefacts"),
    "demosaic": ("demosaic", "Make colours of a Bayer mosaic"),
    "upscale": ("super_resolution", "Enlarge; --scale 2, 3 or 4"),
}
"""Word → the task of `src.predict` that it stands for, and what it does."""

_EXAMPLES = {
    "denoise": "photo.jpg",
    "dejpeg": "photo.jpg",
    "demosaic": "mosaic.png --phase rggb",
    "upscale": "photo.jpg --scale 3",
}
"""Word → what is typed behind it, with an option of its own where it has one."""

_PATHS = ("output", "checkpoint")
"""Keys whose values are names of files, in which any character may be."""

USAGE = """\
exemplar <word> <images> [--key value]    restores photographs, beside them

{restoring}

exemplar <command> [words]      the same as  python -m src.<command> [words]

{commands}

  exemplar <command> --help     what a command can do
  exemplar --version            {version}"""


WORD_USAGE = """\
exemplar {word} <images> [--key value]    {purpose}

  exemplar {word} {example:<31}  {result}
  exemplar {word} {folder:<31}  a folder, into another
  exemplar {word} {stream:<31}  as a stream

  <images>              files, folders, quoted globs, or "-"
  --output restored     a folder, or of one image a file; left out: beside it
  --format png          tiff, jpeg, webp, bmp; left out: as the image has it
  --quality 90          of JPEG and WebP, 1 to 100
{own}
  --compare true        before, after and difference beside each result
  --existing overwrite  makes results again that are there; else they stay
  --device cpu          auto, cpu, cuda, mps
  --inference.tile 256  pixels, where memory is short

Format, depth, transparency, profile and EXIF are kept; what cannot be is said.
All keys: exemplar predict --help; more: docs/how-to/restore-photographs.md"""

_STRENGTH = "  --strength 0.7        softer: 0 leaves the image, 2 goes twice as far"
_OWN = {
    "demosaic": "  --phase rggb          colours at the upper left: grbg (left out), gbrg, bggr",
    "upscale": f"  --scale 3             2 (left out), 3 or 4\n{_STRENGTH}",
}
"""Word → lines on options that not all have."""


def main() -> None:
    """Run the command that the first word names, in this process; exit with 2 if there is none.

    Nothing but that command is imported, and ``sys.argv`` is what ``python -m`` would make of it.
    """
    name, *words = sys.argv[1:] or ["--help"]
    known, restoring = commands(), restoring_words()
    if name in restoring:
        if {"-h", "--help"} & {*words[: words.index("--") if "--" in words else None]}:
            keep_going_without_output()
            print(word_usage(name))
            return
        images, options = images_and_options(words)
        _check_images(name, images, options)
        name, words = "predict", predict_words(RESTORING[name][0], images, options)
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
        _refuse(f"{name!r} is no command. {hint}")


def restoring_words() -> dict[str, str]:
    """Return the words that restore, and what each does: those whose networks come along."""
    tasks = {name.removeprefix(ZOO).rpartition("_x")[0] or name[len(ZOO) :] for name in zoo_names()}
    return {word: purpose for word, (task, purpose) in RESTORING.items() if task in tasks}


def _lines(purposes: dict[str, str]) -> str:
    return "\n".join(f"  {name:<10}  {purpose}" for name, purpose in purposes.items())


def word_usage(word: str) -> str:
    """Return the help of a word that restores."""
    task, purpose = RESTORING[word]
    image, _, scale = _EXAMPLES[word].partition(" --scale ")
    name = Path(image.partition(" ")[0])
    ending = result_ending(f"{ZOO}{task}_x{scale}" if task == ENLARGING else f"{ZOO}{task}")
    return WORD_USAGE.format(
        word=word,
        purpose=purpose,
        example=_EXAMPLES[word],
        result=f"{name.stem}{ending}{name.suffix}",
        folder="photos --output restored",
        stream="- --output - < in.png > out.png",
        own=_OWN.get(word, _STRENGTH),
    )


def predict_words(task: str, images: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return the words of `src.predict` for a task."""
    given = [f"input=[{','.join(map(quoted, images))}]"] if images else []
    return [f"task={task}", *given, *options]


def images_and_options(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return images, folders and globs, and options as `src.predict` has them.

    ``--key value`` and ``--key=value`` become ``key=value``, ``-o`` is ``--output``; what is a
    file, has no ``=`` or stands behind ``--`` is an image. Without a value the process ends with
    status 2.
    """
    images: list[str] = []
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--resolve":
            others.append(word)
        elif word in {"--cfg", "-c"}:
            others += [word, next(rest, "job")]
        elif word == "--":
            images += rest
        elif word.startswith("--") or word == "-o":
            key, equals, value = ("output" if word == "-o" else word[2:]).partition("=")
            value = value if equals else next(rest, "--")
            if value.startswith("--"):
                _refuse(f"{word} needs a value: {word} <value>")
            others.append(f"{key}={quoted(value) if key in _PATHS else value}")
        elif "=" in word and not _is_there(Path(word)):
            others.append(word)
        else:
            images.append(word)
    return images, others


def _check_images(word: str, images: Sequence[str], options: Sequence[str]) -> None:
    """Refuse at once, before torch is imported, that there is no image, or no such scale."""
    scales = [one.rpartition("_x")[2] for one in zoo_names() if ENLARGING in one]
    for option in options:
        key, _, value = option.partition("=")
        if word == "upscale" and key == "scale" and value not in scales:
            _refuse(f"--scale {value}: {word} takes {', '.join(scales)}.")
    if not images and not any(one in {"--cfg", "-c"} or one[:6] == "input=" for one in options):
        _refuse(f"no image is named: exemplar {word} {_EXAMPLES[word]}")
    for image in images:
        if image != "-" and not glob.has_magic(image) and not _is_there(with_home(image)):
            there = [file.name for file in with_home(image).parent.glob("*")]
            near = difflib.get_close_matches(Path(image).name, there)
            hint = f" Did you mean {', '.join(near)}?" if near else ""
            _refuse(f"{readable(image)}: there is no such file or folder.{hint}")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long a name, a folder that is not ours, links in a circle
        return False


def _refuse(reason: str) -> NoReturn:
    print(f"error: {reason}", file=sys.stderr)
    sys.exit(2)


def commands() -> dict[str, str]:
    """Return the commands and what each is for: the modules of this folder and their first words.

    They are read, not imported.
    """
    files = (file for file in sorted(PACKAGE.glob("*.py")) if not file.stem.startswith("_"))
    texts = {file.stem: ast.get_docstring(ast.parse(file.read_bytes())) for file in files}
    return {name: str(text).partition(": `")[0] for name, text in texts.items()}


if __name__ == "__main__":
    main()
