"""The console command: `exemplar train …` is `python -m src.train …`; alone it lists them."""

import ast
import runpy
import sys

import src
from src.core.errors import did_you_mean
from src.core.paths import PACKAGE

USAGE = """\
exemplar <command> [words]      the same as  python -m src.<command> [words]

{commands}

  exemplar <command> --help     what a command can do
  exemplar --version            {version}"""


def main() -> None:
    """Run the command that the first word names, in this process; exit with 2 if there is none.

    Nothing but that command is imported, and ``sys.argv`` is what ``python -m`` would make of it.
    """
    name, *words = sys.argv[1:] or ["--help"]
    known = commands()
    if name in known:
        sys.argv[1:] = words
        runpy.run_module(f"src.{name}", run_name="__main__", alter_sys=True)
    elif name in {"-h", "--help"}:
        lines = (f"  {command:<10}  {purpose}" for command, purpose in known.items())
        print(USAGE.format(commands="\n".join(lines), version=src.__version__))
    elif name == "--version":
        print(f"exemplar {src.__version__}")
    else:
        print(f"error: {name!r} is no command. {did_you_mean(name, known)}", file=sys.stderr)
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
