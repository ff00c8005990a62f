"""Dashboards as code: a W&B workspace and a report, built from the repository and saved there."""

import json
from typing import Any, Protocol, runtime_checkable

import requests
import wandb
from omegaconf import DictConfig
from rich.console import Console

from src.app.build import plain
from src.core.console import make_console
from src.core.errors import ConfigError, ExemplarError, did_you_mean, need
from src.core.files import written
from src.core.paths import from_root
from src.training.loggers.wandb_run import has_key

PARTS = ("workspace", "report")


@runtime_checkable
class Saveable(Protocol):
    """A workspace or a report of wandb-workspaces."""

    def save(self) -> Any:  # noqa: ANN401
        """Send it to W&B; return it with its ``url``."""
        ...

    def _to_model(self) -> Any:  # noqa: ANN401
        ...


def dashboard(cfg: DictConfig) -> int:
    """Build what ``cfg.parts`` names and save it to W&B, or print it where ``cfg.dry_run``.

    Returns:
        How many parts were built.

    Raises:
        ConfigError: If there is no key to save with, a part is unknown, or the package is missing.
        ExemplarError: If W&B does not take it.
    """
    settings = plain(cfg)
    _check(settings)
    built = _build(settings, _entity(settings))
    console = make_console()
    for part, page in built.items():
        if settings["dry_run"]:
            _show(page, part, settings["output"], console)
        else:
            console.print(f"{part:<10} {_save(page)}")
    return len(built)


def _check(settings: dict[str, Any]) -> None:
    for part in settings["parts"]:
        if part not in PARTS:
            raise ConfigError(f"parts=[{part}] is not possible. {did_you_mean(part, PARTS)}")
    need("wandb_workspaces", extra="dashboard", asked="python -m src.dashboard")
    if not settings["dry_run"] and not has_key():
        raise ConfigError(
            "There is no W&B key on this machine, so nothing can be saved: run `wandb login`, "
            "or look at what would be saved by dry_run=true."
        )


def _entity(settings: dict[str, Any]) -> str:
    if settings["entity"] is not None or settings["dry_run"]:
        return str(settings["entity"] or "")
    try:
        return str(wandb.Api().default_entity)
    except (wandb.Error, requests.RequestException, ValueError) as error:
        raise _refused(error) from error


def _build(settings: dict[str, Any], entity: str) -> dict[str, Saveable]:
    # wandb-workspaces is an extra
    from src.commands.dashboard.panels import build_report, build_workspace

    names = (entity, settings["project"], settings["name"], settings["benchmark"])
    built: dict[str, Saveable] = {}
    if "workspace" in settings["parts"]:
        built["workspace"] = build_workspace(*names)
    if "report" in settings["parts"]:
        built["report"] = build_report(*names, settings["images"])
    return built


def to_json(page: Saveable) -> str:
    """Return what ``page.save`` sends, indented.

    The package has no public way to see it; that it is complete is all that can be checked offline.
    """
    model = page._to_model()  # noqa: SLF001
    return json.dumps(json.loads(model.model_dump_json(by_alias=True, exclude_none=True)), indent=2)


def _show(page: Saveable, part: str, output: str | None, console: Console) -> None:
    if output is None:
        console.print(to_json(page))
        return
    file = from_root(output) / f"{part}.json"
    with written(file, "Choose another output folder."):
        file.write_text(to_json(page) + "\n", encoding="utf-8")
    console.print(f"{part:<10} {file}")


def _save(page: Saveable) -> str:
    try:
        return str(page.save().url)
    except (wandb.Error, requests.RequestException, ValueError) as error:
        raise _refused(error) from error


def _refused(error: Exception) -> ExemplarError:
    return ExemplarError(
        f"W&B did not take it: {error}. Check entity=, project= and the connection "
        "(`wandb login --verify`); dry_run=true works without."
    )
