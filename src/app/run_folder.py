"""The folder of one run: its frozen config, where it came from, how to go on."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.app.config.options import key_of, read_primary
from src.app.config.resume import OVERRIDES, saved_overrides
from src.app.config.schema import check_values, leaves
from src.app.config.typed import WRITTEN, remember_addresses
from src.app.config.validate import check_targets
from src.core.errors import ConfigError, DataError, UntrustedError
from src.core.files import write_json, write_text
from src.core.origin import environment
from src.core.paths import from_root
from src.core.redact import without_passwords
from src.core.types import PlainConfig
from src.weights.checkpoint_file import set_aside
from src.weights.untrusted import PARTS, check_saved, read_text

logger = logging.getLogger(__name__)

CONFIG, ENVIRONMENT = "config.yaml", "environment.json"


def start(folder: Path, config: PlainConfig, overrides: list[str]) -> None:
    """Write the resolved config, the overrides and the environment of a new run.

    Its servers and shared folders are noted as known here, where it may go on.

    The config comes last: a folder that has one can be resumed, one without can be begun again, as
    can one in which nothing was trained: a run begins with a checkpoint.

    Raises:
        DataError: If it cannot be written.
    """
    remember_addresses(leaves(config))
    try:
        write_text(folder / OVERRIDES, yaml.safe_dump(overrides, allow_unicode=True))
        write_json(folder / ENVIRONMENT, {**environment(), "seed": config.get("seed")})
        _write_config(folder, config)
    except OSError as error:
        raise DataError(
            f"The run folder {folder} cannot be written: {error.strerror}. "
            "Set paths.output_root to a folder that can."
        ) from error


def refuse_used(folder: Path) -> None:
    """Refuse a folder in which a run has started before; DataError says how to go on with it."""
    if (folder / CONFIG).exists() and any((folder / "checkpoints").glob("*.ckpt")):
        raise DataError(
            f"{folder} already holds a run. Continue it with resume={folder}, or start another "
            "(a second later, or with another hydra.run.dir)."
        )


def continued(folder: Path, cfg: DictConfig, given: list[str]) -> DictConfig:
    """Return the config with which the run in ``folder`` goes on.

    It is the run's own; only the keys of the overrides ``given`` are taken from ``cfg``. Paths into
    the run folder follow it where it has been moved.

    Raises:
        ConfigError: If the folder holds no run.
        UntrustedError: If its config is more than plain data and listed components.
    """
    saved = _read_config(folder)
    old = OmegaConf.select(saved, "paths.output_dir")
    if isinstance(old, str):
        saved = DictConfig(_moved(OmegaConf.to_container(saved), old, str(folder)))
    _check_saved(folder, cast("PlainConfig", OmegaConf.to_container(saved)))
    for override in given:
        key = key_of(override)
        if override.startswith("~"):
            above, _, name = key.rpartition(".")
            (OmegaConf.select(saved, above) if above else saved).pop(name, None)
        else:
            value = OmegaConf.select(cfg, key)
            OmegaConf.update(saved, key, value, merge=False, force_add=True)
    OmegaConf.update(saved, "paths", cfg.paths)
    return saved


def go_on(
    folder: Path, config: PlainConfig, overrides: list[str], about: Mapping[str, Any]
) -> None:
    """Note in ``resumed.jsonl`` that the run went on: ``about``, with new ``overrides`` among it.

    The config and the overrides of the folder become those with which it goes on, so that the next
    ``resume`` needs no word of this one repeated.
    """
    entry = without_passwords(json.dumps({**about, **environment()}))
    record = folder / "resumed.jsonl"
    before = record.read_text(encoding="utf-8") if record.is_file() else ""
    # written whole, in a new file: a kill half way would leave a line that no program can read
    write_text(record, f"{before}{entry}\n")
    if about["overrides"]:
        _write_config(folder, config)
    if overrides != saved_overrides(folder):  # a search path that has moved, too
        write_text(folder / OVERRIDES, yaml.safe_dump(overrides, allow_unicode=True))


def mend_config(folder: Path, carried: DictConfig) -> None:
    """Where ``config.yaml`` is damaged, set it aside and take the one that a checkpoint carries."""
    path = folder / CONFIG
    if not path.is_file():
        return
    try:
        _read_config(folder)
    except ConfigError:
        aside = set_aside(path)
        _write_config(folder, cast("PlainConfig", OmegaConf.to_container(carried)))
        logger.warning(
            "%s is damaged: it is kept as %s, and the one in the checkpoint has taken its place.",
            *(path, aside.name),
        )


def _read_config(folder: Path) -> DictConfig:
    path = folder / CONFIG
    if not path.is_file():
        raise ConfigError(f"resume={folder}: {CONFIG} is not there, so this is no run folder.")
    try:
        read_text(path)  # refuses what would not end in loading it
        saved = OmegaConf.load(path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"resume={folder}: {CONFIG} is damaged; restore it.") from error
    if not isinstance(saved, DictConfig) or not {*PARTS} - {"logger"} <= {*saved}:
        raise ConfigError(f"resume={folder}: {CONFIG} is no configuration of a run; restore it.")
    return DictConfig(check_saved(path, OmegaConf.to_container(saved, resolve=False)))


def _check_saved(folder: Path, config: PlainConfig) -> None:
    """Check values and arguments as those of a new run are; the file may have been edited."""
    _refuse_elsewhere(folder, config)
    primary = read_primary("train")
    try:
        check_values({**primary.values, **config}, primary)  # an older file lacks some
        check_targets(config, primary)
    except ConfigError as error:
        raise ConfigError(f"{folder / CONFIG}: {error}") from error


def _refuse_elsewhere(folder: Path, plain: Mapping[str, Any]) -> None:
    """Refuse a run whose callbacks or loggers would write into another folder than its own."""
    own = Path(os.path.normpath(folder))
    sections = {name: plain.get(name) for name in ("callbacks", "logger", "trainer")}
    for key, given in leaves(sections):
        if given is None or key.rpartition(".")[2] not in WRITTEN:
            continue
        if not Path(os.path.normpath(from_root(str(given)))).is_relative_to(own):
            raise UntrustedError(
                f"{folder / CONFIG}: refused, because {key}={given} is outside of the run "
                "folder, and may be another run's. Correct the file."
            )


def _moved(node: Any, old: str, new: str) -> Any:  # noqa: ANN401
    """Return ``node`` with every path below the folder ``old`` now below ``new``."""
    if isinstance(node, dict):
        return {key: _moved(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [_moved(value, old, new) for value in node]
    if isinstance(node, str) and (node == old or node.startswith(f"{old}/")):
        return new + node.removeprefix(old)
    return node


def _write_config(folder: Path, config: PlainConfig) -> None:
    write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
