"""What a run folder adds to a command line that goes on from it, or that reads its checkpoint."""

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from src.app.config.options import AUTO, GLOBAL_GROUPS, key_of, read_primary
from src.app.config.schema import leaves
from src.app.config.typed import KEY, folders_of, is_remembered, is_search_path, with_folders
from src.core.errors import ConfigError, UntrustedError
from src.core.paths import from_root
from src.weights.untrusted import Reading, check_config, read_text

OVERRIDES = "overrides.yaml"

FIXED = ("model", "io", "task", "seed", "weights", "freeze", "lr_factors", "sets")
"""What a resumed run keeps, as its checkpoint, random numbers or best score rest on it."""

OF_A_START = ("resume", "accept_changes")
"""What says how one start goes on, and is not part of a run."""

OF_A_RUN = ("resume", "checkpoint")
"""Keys whose values are runs."""

_REFERENCE = re.compile(r"\$\{[\w.]+\}")


def with_last(overrides: Sequence[str]) -> list[str]:
    """Return ``overrides`` with the run that was last written in place of ``resume=last``.

    The same holds for ``checkpoint=last``; runs are sought below ``paths.output_root``.

    Raises:
        ConfigError: If there is none.
    """
    asked = [word for word in overrides if word in {"resume=last", "checkpoint=last"}]
    if not asked:
        return list(overrides)
    roots = [word.partition("=")[2] for word in overrides if word.startswith("paths.output_root=")]
    root = from_root(roots[-1] if roots else "outputs")
    files = root.glob("**/checkpoints/last.ckpt")
    newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
    if newest is None:
        raise ConfigError(f"{asked[0]}: there is no run below {root}; set paths.output_root=….")
    run = newest.parent.parent
    print(f"{asked[0]}: {run}", file=sys.stderr)
    return [f"{word.removesuffix('last')}{run}" if word in asked else word for word in overrides]


def with_saved(overrides: Sequence[str]) -> list[str]:
    """Return ``overrides`` after those of the run that they resume, if they resume one.

    A saved override is left out where its key, or the group that it belongs to, is given now.

    Raises:
        ConfigError: If an override would change what was trained.
        UntrustedError: If the run would search for options where this user never has, or has a
            link out of its folder.
    """
    given = _parsed(overrides)
    values = [item.value() for item in given if item.key_or_group == "resume"]
    named = [value for value in values if isinstance(value, str) and value != AUTO]
    if not named:
        return list(overrides)
    folder = from_root(named[0])
    refuse_links(folder)
    saved = _parsed(saved_overrides(folder))
    refuse_changes(folder, given_now(folder, overrides))
    taken = tuple(f"{override.key_or_group}{sign}" for override in given for sign in "./")
    kept = [str(old.input_line) for old in saved if not f"{old.key_or_group}.".startswith(taken)]
    _check_search_path(folder, kept)
    return [*kept, *overrides]


def with_that_of_checkpoint(overrides: Sequence[str]) -> list[str]:
    """Return ``overrides`` with the search path of the runs in ``checkpoint=…`` at its end.

    A folder that is gone is left out: a checkpoint needs none of them itself.

    Raises:
        UntrustedError: If a run would search for options where this user never has.
    """
    folders = folders_of(overrides)
    typed = any(map(is_search_path, overrides))
    for source in _checkpoints(overrides):
        path = from_root(source)
        run = path.parent.parent if path.parent.name == "checkpoints" else path
        if run.is_dir():
            saved = saved_overrides(run)
            if not typed:
                _check_search_path(run, saved)
            kept = folders_of(filter(is_remembered, saved))
            folders += [entry for entry in kept if "://" in entry or Path(entry).is_dir()]
    return with_folders(overrides, list(dict.fromkeys(folders)))


def _checkpoints(overrides: Sequence[str]) -> list[str]:
    named = (item.value() for item in _parsed(overrides) if item.key_or_group == "checkpoint")
    value = next(named, [])
    several = list(value.values()) if isinstance(value, dict) else value
    return list(map(str, several)) if isinstance(several, list) else [str(several)]


def _check_search_path(folder: Path, saved: Sequence[str]) -> None:
    """Refuse a saved search path of folders that were never typed here: they may be anybody's."""
    for word in filter(is_search_path, saved):
        if not is_remembered(word):
            Reading(f"{folder / OVERRIDES}: {word!r}").refuse(
                "a run folder may not say how Hydra works, and these folders were never given on "
                f"this machine; if they are yours, give {KEY}=… again"
            )


def refuse_links(folder: Path) -> None:
    """Refuse a run folder with a link out of it: what the run writes would land elsewhere.

    W&B links to its own logs from the folder of each start, where nothing is written any more.

    Raises:
        UntrustedError: Naming the link.
    """
    home = folder.resolve()
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        of_wandb = inside[0] == "wandb" and len(inside) > 2
        if path.is_symlink() and not of_wandb and not path.resolve().is_relative_to(home):
            raise UntrustedError(
                f"{path}: refused, because it is a link to {path.resolve()}, outside of the run "
                "folder that is to go on. Put what it leads to in its place."
            )


def given_now(folder: Path, overrides: Sequence[str]) -> list[str]:
    """Return those of a resumed run's ``overrides`` that say other than its saved ones.

    Of a key that is given twice, the last word counts, as in Hydra.
    """
    saved = {key_of(text): text for text in saved_overrides(folder)}
    now = {key_of(text): text for text in overrides if key_of(text) not in OF_A_START}
    return [text for key, text in now.items() if saved.get(key) != text]


def refuse_changes(folder: Path, given: Sequence[str]) -> None:
    """Refuse an override, of those ``given`` to a run that goes on, that would change what it is.

    Raises:
        ConfigError: Naming what can be done instead.
    """
    for override in _parsed(given):
        top = override.key_or_group.replace("/", ".").partition(".")[0]
        if top in FIXED:
            raise ConfigError(
                f"{override.input_line}: a resumed run keeps its {top}; start a new run, with "
                f"weights={folder} to begin from its weights."
            )
        if override.key_or_group == "optimizer":
            raise ConfigError(
                f"{override.input_line}: a resumed run keeps its optimizer, whose state was saved; "
                "single values can change, e.g. optimizer.lr=5e-5."
            )
        if top in GLOBAL_GROUPS:  # they write at the root: it cannot be told what they would change
            raise ConfigError(
                f"{override.input_line}: a resumed run keeps its own settings; name those to "
                f"change, e.g. resume={folder} trainer.max_steps=2000."
            )


def followers(cfg: DictConfig, given: Sequence[str]) -> list[str]:
    """Return overrides for the keys whose value is defined as that of a key in ``given``.

    ``scheduler.total_steps`` is ``${trainer.max_steps}`` where nothing else was said; the saved
    config is resolved and does not know that any more.

    Args:
        cfg: Composed from the saved overrides and those given now, unresolved.
        given: The overrides that are new.
    """
    changed = {f"${{{key_of(text)}}}" for text in given}
    raw = OmegaConf.to_container(cfg, resolve=False)
    paths = [path for path, value in leaves(raw) if str(value) in changed]
    return [f"{path}={OmegaConf.select(cfg, path)}" for path in paths if not path.startswith(FIXED)]


def saved_overrides(folder: Path) -> list[str]:
    """Return what the run in ``folder`` was started with; [] where that was not kept.

    Raises:
        ConfigError: If the file holds something else.
        UntrustedError: If they are more than values and choices.
    """
    path = folder / OVERRIDES
    try:
        content = yaml.safe_load(read_text(path)) if path.is_file() else []
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read; restore it, or remove it.") from error
    if not isinstance(content, list) or not all(isinstance(text, str) for text in content):
        raise ConfigError(f"{path} is no list of key=value; restore it, or remove it.")
    # a search path is checked where it is used: it may be replaced by one that is typed
    check_overrides(path, [text for text in content if not is_search_path(text)])
    return content


def check_overrides(source: Path, overrides: Sequence[str]) -> None:
    """Refuse the saved words of a run folder, which comes from anywhere as a checkpoint does.

    Raises:
        UntrustedError: Naming the word that says more than a value or a choice, or as
            :func:`check_config`.
    """
    for text in overrides:
        _check_override(Reading(f"{source}: {text!r}"), text)


def _check_override(reading: Reading, text: str) -> None:
    try:
        # A plain reference reads another key of the same configuration, and nothing else.
        override = OverridesParser.create().parse_override(_REFERENCE.sub("reference", text))
        value = override.value()
    except HydraException:
        reading.refuse("it is not of the form key=value")
    if override.is_sweep_override():
        reading.refuse("a run has one value of each key")
    key = override.key_or_group
    if "hydra" in {re.split(r"[./]", key)[0], *str(override.package).split(".")}:
        reading.refuse("a run folder may not say how Hydra works")
    if key == "paths.output_dir":
        reading.refuse("a run writes into its own folder")
    chooses = "." not in key and key not in read_primary("train").values
    if chooses and re.search(r"\.\.|(^|['\" ])/", str(value)):
        reading.refuse("it chooses a file outside of the configuration folders")
    node: object = value
    for name in reversed(re.split(r"[./]", key)):
        node = {name: node}
    check_config(reading.source, node)


def _parsed(overrides: Sequence[str]) -> list[Override]:
    parser, parsed = OverridesParser.create(), []
    for text in overrides:
        with suppress(HydraException):  # explained where the whole command line is checked
            parsed.append(parser.parse_override(text))
    return parsed
