"""The folder of one run: its frozen config, where it came from, how to go on."""

import json
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from src.core.errors import ConfigError, DataError
from src.core.types import PlainConfig
from src.runtime.origin import environment

CONFIG, OVERRIDES, ENVIRONMENT = "config.yaml", "overrides.yaml", "environment.json"


def start(folder: Path, config: PlainConfig, overrides: list[str]) -> None:
    """Write the resolved config, the overrides and the environment of a new run.

    Raises:
        DataError: If another run has started in ``folder``, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / CONFIG).open("x", encoding="utf-8") as file:
            yaml.safe_dump(config, file, sort_keys=False, allow_unicode=True)
        _write(folder / OVERRIDES, yaml.safe_dump(overrides, allow_unicode=True))
        write_json(folder / ENVIRONMENT, {**environment(), "seed": config.get("seed")})
    except FileExistsError as error:
        raise DataError(
            f"{folder} already holds a run. Continue it with resume={folder}, or start another "
            "(a second later, or with another hydra.run.dir)."
        ) from error
    except OSError as error:
        raise DataError(
            f"The run folder {folder} cannot be written: {error.strerror}. "
            "Set paths.output_root to a folder that can."
        ) from error


def continued(folder: Path, cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """Return the config with which the run in ``folder`` goes on.

    It is the run's own; only the keys of ``overrides`` are taken from ``cfg``.

    Raises:
        ConfigError: If the folder holds no run, or an override would change what was trained.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ConfigError(f"resume={folder}: {CONFIG} is not there, so this is no run folder.")
    saved = OmegaConf.load(path)
    if not isinstance(saved, DictConfig):
        raise ConfigError(f"resume={folder}: {CONFIG} holds no mapping.")
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key in {"resume"} or key.startswith("hydra."):
            continue
        if key.partition(".")[0] in {"model", "io", "task", "seed"} or "/" in key:
            raise ConfigError(
                f"{override}: a resumed run keeps its {key.partition('.')[0]}; start a new run, "
                f"with weights={folder} to begin from its weights."
            )
        OmegaConf.update(saved, key, OmegaConf.select(cfg, key), force_add=True)
    OmegaConf.update(saved, "paths", cfg.paths)
    return saved


def note_resume(folder: Path, overrides: list[str], step: int) -> None:
    """Append to ``resumed.jsonl`` that the run went on, with what and from which step."""
    entry = {"step": step, "overrides": overrides, **environment()}
    with (folder / "resumed.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401
    """Write ``content`` indented, whole or not at all."""
    _write(path, json.dumps(content, indent=2, allow_nan=True) + "\n")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
