"""Compose a command line before Hydra does, and explain what cannot be composed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from src.app.config.explain import (
    COMPOSITION_ERRORS,
    chooses,
    explain,
    fitted_jobs,
    grammar_help,
    refuse_choice,
)
from src.app.config.options import AUTO, read_primary
from src.app.config.schema import check_names, leaves
from src.app.config.validate import check_targets
from src.core.errors import ConfigError
from src.core.paths import CONF_DIR, from_root
from src.core.renamed import MOVED, TARGET, current_name

SWEEP_LIMIT = 32
"""Jobs of a sweep that are checked before the first starts; Hydra composes the rest itself."""


@dataclass(frozen=True)
class Request:
    """What was typed."""

    config_name: str  # primary config, e.g. ``train``
    overrides: tuple[str, ...]  # the words ``key=value``
    multirun: bool = False  # whether ``-m`` was given
    config_dir: str = str(CONF_DIR)  # the folder of the primary configs, absolute


@dataclass(frozen=True)
class Accepted:
    """A command line that can work."""

    # The configuration of the job, of a sweep the first one's, with Hydra's own node.
    cfg: DictConfig
    # Those of all jobs that were checked, plain; empty where only names were checked.
    plain: tuple[dict[str, Any], ...]


@contextmanager
def composed(request: Request, *, complete: bool = True) -> Iterator[Accepted]:
    """Compose what was typed, refuse what cannot work, and keep Hydra ready while the block runs.

    Nothing is written and no device is touched. Unless ``complete``, only names are checked.

    Raises:
        ConfigError: Saying what came, what is allowed and what to do.
    """
    name = request.config_name
    with initialize_config_dir(request.config_dir, version_base="1.3", job_name=name):
        primary = read_primary(name, Path(request.config_dir))
        configs, accepted = [], []
        jobs = _jobs(request)
        try:
            for overrides in jobs:
                configs.append(compose_job(name, overrides))
                _check_sweep_and_resume(configs[-1], request)
                if complete:
                    with as_if_running(configs[-1]) as job:
                        accepted.append(check_names(job, primary))
            # Only now, with every name of every job accepted, is torch imported.
            for overrides, config in zip(jobs, accepted, strict=complete):  # noqa: B007  see below
                check_targets(config, primary)
        except ConfigError as error:
            swept = [word for word in overrides if word not in request.overrides]
            if not (request.multirun and swept):
                raise
            raise ConfigError(  # what this job lacks, another may have
                f"{error}\n  This is of the job with {' '.join(swept)}. If it fits other values of "
                "the sweep, sweep over those alone."
            ) from error
        yield Accepted(configs[0], tuple(accepted))


def of_sweeper(cfg: DictConfig) -> list[Override]:
    """Return what a group such as hparams_search varies."""
    params = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
    return parse([f"{key}={value}" for key, value in params.items()])


def _jobs(request: Request) -> list[list[str]]:
    """Return the overrides of each job that is to be checked."""
    parsed = parse(request.overrides)
    if request.multirun:
        jobs = list(map(parse, _samples(request, parsed)))
        return fitted_jobs(request.config_name, jobs, checked=False)[0]
    sweeps = [override for override in parsed if override.is_sweep_override()]
    if sweeps:
        line = sweeps[0].input_line
        raise ConfigError(
            f"{line} has several values: add -m to run one job a value, "
            f"or quote a list: '{sweeps[0].get_key_element()}=[{sweeps[0].get_value_string()}]'."
        )
    return [list(request.overrides)]


def _samples(request: Request, parsed: Sequence[Override]) -> Iterator[list[str]]:
    """Yield the words of a sweep's first job, then of others: one choice changed at a time."""
    choices = [choices_of(override) for override in parsed]
    chosen = [options[0] for options in choices if chooses(parse(options[:1])[0])]
    swept = of_sweeper(compose_job(request.config_name, chosen))
    taken = {override.get_key_element() for override in parsed}
    choices += [choices_of(item) for item in swept if item.get_key_element() not in taken]
    first = [options[0] for options in choices]
    yield first
    left = SWEEP_LIMIT - 1
    for index, options in enumerate(choices):
        for option in options[1 : 1 + left]:
            left -= 1
            yield [*first[:index], option, *first[index + 1 :]]


def choices_of(override: Override) -> list[str]:
    """Return the words that an override stands for: of a sweep several, of a range its start."""
    value = override.value()
    key = override.get_key_element()
    if isinstance(value, IntervalSweep):
        return [f"{key}={value.start}"]
    if override.is_discrete_sweep():
        return [f"{key}={choice}" for choice in override.sweep_string_iterator()]
    return [str(override.input_line)]


def parse(overrides: Sequence[str]) -> list[Override]:
    """Read words by Hydra's grammar, or ConfigError; Hydra must be initialised."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parsed = []
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException as error:
            raise ConfigError(grammar_help(text)) from error
        if "." not in text.partition("=")[0] and not isinstance(override.value(), str | list):
            refuse_choice(override)
        parsed.append(override)
    return parsed


def compose_job(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Let Hydra, which must be initialised, compose one job; ConfigError says why it cannot."""
    try:
        cfg = compose(config_name, overrides=list(overrides), return_hydra_config=True)
    except COMPOSITION_ERRORS as error:
        raise ConfigError(explain(error, config_name, parse(overrides))) from error
    bring_up_to_date(cfg)
    return cfg


def bring_up_to_date(cfg: DictConfig) -> None:
    """Put the current names of components where a file of an earlier version has old ones."""
    old = tuple(MOVED)
    for path, value in leaves(OmegaConf.to_container(cfg, resolve=False), in_lists=True):
        if path.endswith(TARGET) and str(value).startswith(old):
            OmegaConf.update(cfg, path, current_name(value))


@contextmanager
def as_if_running(cfg: DictConfig) -> Iterator[DictConfig]:
    """Let ``${hydra:…}`` be resolved as inside a job, with a folder that is not made."""
    singleton = HydraConfig.instance()
    before, running = singleton.cfg, cfg.copy()
    with open_dict(running):
        running.hydra.runtime.output_dir = str(from_root("outputs/not_started"))
    singleton.set_config(running)
    job = running.copy()
    with open_dict(job):
        del job["hydra"]
    try:
        yield job
    finally:
        singleton.cfg = before


def _check_sweep_and_resume(cfg: DictConfig, request: Request) -> None:
    params = OmegaConf.select(cfg, "hydra.sweeper.params")
    if params and not request.multirun:
        name = OmegaConf.select(cfg, "hydra.runtime.choices.hparams_search")
        raise ConfigError(f"hparams_search={name} is a sweep: add -m to run it.")
    resume = OmegaConf.select(cfg, "resume")
    if resume == AUTO:
        return
    if resume is not None and request.multirun:
        raise ConfigError(f"resume={resume} goes on with one run; leave out -m.")
    if resume is not None and not from_root(str(resume)).is_dir():
        root = from_root(str(OmegaConf.select(cfg, "paths.output_root")))
        begun = root.glob("*/*/????-??-??_??-??-??*/config.yaml")
        newest = sorted((file.parent for file in begun), key=lambda folder: folder.name)[-3:]
        listed = "".join(f"\n  resume={folder}" for folder in reversed(newest))
        raise ConfigError(
            f"resume={resume}: there is no such run folder. "
            + (f"The newest are:{listed}" if listed else f"{root} holds no run yet.")
        )
