"""Under which identity a run is known to each logger, kept in its folder for when it goes on."""

import json
from pathlib import Path

from src.core.errors import DataError
from src.core.files import write_json

RUN_IDS = "run_ids.json"


def read_run_id(folder: str | Path, logger: str) -> str | None:
    """Return the identity of the run in ``folder`` for one logger, e.g. ``wandb``; None if none.

    Raises:
        DataError: If the file is damaged.
    """
    return _read(Path(folder)).get(logger)


def keep_run_id(folder: str | Path, logger: str, run_id: str) -> None:
    """Write down the identity of the run in ``folder`` for one logger."""
    held = _read(Path(folder))
    if held.get(logger) != run_id:
        write_json(Path(folder) / RUN_IDS, {**held, logger: run_id})


def _read(folder: Path) -> dict[str, str]:
    file = folder / RUN_IDS
    if not file.is_file():
        return {}
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is damaged; remove it, and loggers begin a new run.") from error
    return {str(name): str(run_id) for name, run_id in held.items()}
