"""Why a command line cannot be composed: the override at fault, and what it may have meant."""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra import compose
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.app.config.options import all_groups, join, options_of
from src.app.config.typed import KEY
from src.core.errors import ConfigError, did_you_mean
from src.core.paths import CONF_DIR

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException)
_OF_HYDRA = "hydra/"  # groups of Hydra's own: hydra/launcher, hydra/sweeper


def grammar_help(text: str) -> str:
    """Say what is wrong with an override that Hydra's grammar does not accept."""
    if "=" not in text:
        return f"{text!r} is not of the form key=value (no spaces around the =)."
    key, _, value = text.partition("=")
    if not key.strip() or key != key.strip():
        return f"{text!r} has no key before the =; write key=value without spaces."
    return (
        f"{text!r} cannot be read. Quote a value that holds one of , ; : = {{}} [] () or a space "
        f"twice, once for the shell: '{key}=\"{value}\"'."
    )


def refuse_choice(override: Override) -> None:
    """Refuse a choice that names no file, e.g. ``loss=null``, with those that do."""
    group = override.key_or_group
    if group in all_groups() and not (override.is_delete() or override.is_sweep_override()):
        options = " | ".join(options_of(group))
        raise ConfigError(f"{override.input_line}: choose {group}=<{options}>, or leave it out.")


def explain(error: Exception, config_name: str, parsed: Sequence[Override]) -> str:
    """Say which override is at fault and what it may have meant; Hydra must be initialised."""
    if isinstance(error, MissingConfigException):
        return _unknown_option(error)
    choosing = [item for item in parsed if chooses(item)]
    lines = [str(item.input_line) for item in choosing]
    try:
        base = compose(config_name, overrides=lines, return_hydra_config=True)
    except MissingConfigException as missing:
        return _unknown_option(missing)
    except COMPOSITION_ERRORS as cause:
        return _no_attention(cause, lines) or _first_lines(cause)
    tree = OmegaConf.to_container(base, resolve=False)
    others = [item for item in parsed if item not in choosing]
    for item in others:
        if _is_lost(item, tree):
            return f"{item.input_line}: {_nearest_key(item.key_or_group, tree)}"
    return _first_failure(config_name, lines, others) or _first_lines(error)


def chooses(override: Override) -> bool:
    """Say whether ``override`` is of the kind group=option, or says where options are."""
    group = override.key_or_group
    decides = group in all_groups() or group.startswith(_OF_HYDRA) or group == KEY
    return decides and not override.is_delete()


def fitted_jobs(
    config_name: str, jobs: Sequence[Sequence[Override]], *, checked: bool
) -> tuple[list[list[str]], dict[str, int]]:
    """Give each job of a sweep only keys that its options have.

    Args:
        config_name: Primary config; Hydra must be initialised.
        jobs: Of each its words, parsed.
        checked: Whether each key is known to fit some job; else one that fits none of these stays,
            to be refused.

    Returns:
        The words of the jobs, without jobs that come a second time; and each key that not all of
        them have, with how many go without it.
    """
    trees: dict[tuple[str, ...], Any] = {}
    lacks = []
    for job in jobs:
        chosen = tuple(str(item.input_line) for item in job if chooses(item))
        if chosen not in trees:
            trees[chosen] = _tree(config_name, chosen)
        lacks.append({item.key_or_group for item in job if _is_lost(item, trees[chosen])})
    stays = set() if checked else set.intersection(*lacks)
    without = Counter(key for keys in lacks for key in keys - stays)
    fitted = [
        tuple(str(item.input_line) for item in job if item.key_or_group not in keys - stays)
        for job, keys in zip(jobs, lacks, strict=True)
    ]
    return [list(words) for words in dict.fromkeys(fitted)], dict(without)


def _tree(config_name: str, chosen: Sequence[str]) -> Any:  # noqa: ANN401
    """Return what the options of a job have; a lone interpolation where they do not compose."""
    try:
        cfg = compose(config_name, overrides=list(chosen), return_hydra_config=True)
    except COMPOSITION_ERRORS:  # explained where the whole job is composed
        return "${?}"
    return OmegaConf.to_container(cfg, resolve=False)


def _is_lost(item: Override, tree: Any) -> bool:  # noqa: ANN401
    free = item.is_add() or item.is_force_add() or chooses(item)
    return not free and _lost(item.key_or_group, tree)


def _first_failure(config_name: str, lines: list[str], others: Sequence[Override]) -> str | None:
    for item in others:
        try:
            compose(config_name, overrides=[*lines, str(item.input_line)])
        except COMPOSITION_ERRORS as cause:
            return f"{item.input_line}: {_first_lines(cause)}"
    return None


def _no_attention(error: Exception, lines: Sequence[str]) -> str | None:
    """Say that the chosen model has no place for the chosen attention block, if that is it."""
    if "Could not override 'model/attention'" not in str(error):
        return None
    model = next((line for line in lines if line.startswith("model=")), "this model")
    chosen = next((line for line in lines if line.startswith("model/attention=")), "")
    return f"{model} has no attention to choose; leave out {chosen}, or take another model."


def _unknown_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    if not group:
        return f"There is no primary config {option!r} in conf/."
    whole = group in all_groups() or group.startswith(_OF_HYDRA)
    top = group if whole else group.partition("/")[0]
    option = str(error.missing_cfg_file).removeprefix(f"{top}/")
    known = {*options_of(top), *(error.options or ())}
    hint = did_you_mean(option, (name for name in known if not name.startswith("_")))
    return f"{top}={option}: the group {top!r} has no option {option!r}. {hint}"


def _first_lines(error: BaseException) -> str:
    noise = ("full_key:", "object_type=", "reference_type=", "To append", "See ")
    texts = [str(error), *([str(error.__cause__)] if error.__cause__ else [])]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return "\n".join(line for line in lines if line and not line.startswith(noise))


def _lost(key: str, tree: Any) -> bool:  # noqa: ANN401
    for part in key.replace("[", ".").replace("]", "").split("."):
        if isinstance(tree, Mapping) and part in tree:
            tree = tree[part]
        elif isinstance(tree, list) and part.isdigit() and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            # an interpolation may hold anything; Hydra itself judges what is below it
            return not (isinstance(tree, str) and tree.startswith("${"))
    return False


def _nearest_key(key: str, tree: Any) -> str:  # noqa: ANN401
    """Return "there is no key …" with the nearest keys beside it and the same name elsewhere."""
    path = ""
    node = tree
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            break
        path, node = join(path, part), node[part]
    wrong = key.removeprefix(f"{path}.").partition(".")[0]
    keys = [str(name) for name in node] if isinstance(node, Mapping) else []
    if path:
        own = [name for name in keys if name[0] != "_"]
        return f"{path} has no key {wrong!r}. {_key_hint(wrong, own, _keys_elsewhere(path))}"
    if wrong == "scale":
        return "there is no key 'scale'. Take task=super_resolution task.scale=<2, 3 or 4>."
    if wrong in all_groups():
        last = key.rpartition(".")[2]
        same = [dotted for dotted in _dotted_keys(node) if dotted.rpartition(".")[2] == last]
        other = f", or take {', '.join(same)}" if same else ""
        return f"no {wrong} is chosen here that could have keys: add {wrong}=<option>{other}."
    at_the_root = {name: name for name in [*keys, *all_groups()] if name != "hydra"}
    spelled = dict(at_the_root)
    for dotted in _dotted_keys({name: node[name] for name in keys if name != "hydra"}):
        spelled.setdefault(dotted.rpartition(".")[2], dotted)
    near = difflib.get_close_matches(wrong, spelled, n=3)
    near.sort(key=lambda name: name not in at_the_root)  # what was typed as if it were there
    hint = ", ".join(spelled[name] for name in near) or "one of " + ", ".join(sorted(keys))
    return f"there is no key {wrong!r}. Did you mean {hint}?"


def _key_hint(wrong: str, own: Sequence[str], elsewhere: Mapping[str, str]) -> str:
    """Return which options have a key, or which keys are near, here and in other options."""
    if wrong in elsewhere:
        return f"It is a key of {elsewhere[wrong]}."
    near = difflib.get_close_matches(wrong, own) or difflib.get_close_matches(wrong, elsewhere)
    named = [name if name in own else f"{name} (of {elsewhere[name]})" for name in near]
    return f"Did you mean {', '.join(named)}?" if near else did_you_mean(wrong, own)


def _keys_elsewhere(group: str) -> dict[str, str]:
    """Return key → the options of a group that have it, e.g. ``data=folder``."""
    having: dict[str, list[str]] = {}
    for option in options_of(group) if group in all_groups() else ():
        for key in OmegaConf.load(CONF_DIR / group / f"{option}.yaml"):
            having.setdefault(str(key), []).append(f"{group}={option}")
    return {key: ", ".join(options) for key, options in having.items()}


def _dotted_keys(node: object, path: str = "") -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if not str(key).startswith("_"):
                yield join(path, str(key))
                yield from _dotted_keys(value, join(path, str(key)))
