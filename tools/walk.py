"""Count our functions and files between ``main()`` and ``Trainer.fit``: `python -m tools.walk`.

Further words go to ``src.train``. The list of functions, in the order of their first call, goes to
standard output, the two counts to standard error.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FrameType
from typing import Any

WORDS = (
    "model=panet_tiny",
    "data=synthetic",
    "data.cache=off",
    "trainer=cpu",
    "trainer.max_steps=2",
    "hydra/job_logging=none",
)
PACKAGE = str(Path(__file__).resolve().parents[1] / "src")


class Reached(BaseException):
    """``Trainer.fit`` was called; nothing after it is of interest."""


def functions_before_fit(words: list[str]) -> list[CodeType]:
    """Return the distinct functions of src/ that run before ``Trainer.fit``, in order."""
    seen: dict[CodeType, None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:  # noqa: ANN401
        code = frame.f_code
        if event != "call":
            return
        if code.co_name == "fit" and code.co_filename.endswith("trainer/trainer.py"):
            raise Reached
        # bodies of modules and classes run once, when they are imported: no step of the walk
        if code.co_filename.startswith(PACKAGE) and code.co_flags & 0x2:  # CO_NEWLOCALS
            seen.setdefault(code)

    from src.train import main

    sys.argv = ["src.train", *words]
    sys.setprofile(note)
    try:
        main()
    except (Reached, SystemExit):
        pass
    finally:
        sys.setprofile(None)
    return list(seen)


def main() -> None:
    """Walk, and say how long the way was."""
    with TemporaryDirectory() as folder:  # of the run, which holds nothing yet
        given = [f"paths.output_root={folder}", *sys.argv[1:]]
        codes = functions_before_fit([*WORDS, *given])
    functions = [
        code for code in codes if not code.co_name.startswith("<") or code.co_name == "<lambda>"
    ]
    for code in functions:
        file = Path(code.co_filename).relative_to(PACKAGE)
        sys.stdout.write(f"{file}:{code.co_firstlineno}  {code.co_qualname}\n")
    files = {code.co_filename for code in functions}
    sys.stderr.write(f"{len(functions)} functions in {len(files)} files before Trainer.fit\n")


if __name__ == "__main__":
    main()
