"""A comparison as its file says it: what all trainings share, and what varies."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from src.app.config.options import key_of
from src.app.config.resume import OF_A_START, check_overrides, refuse_links
from src.app.config.typed import WRITTEN, address_of
from src.core.errors import ConfigError
from src.weights.untrusted import read_text

COMPARISON = "comparison.yaml"
"""The file of a comparison."""

_KEYS = {"title": str, "fixed": list, "factors": dict, "reference": dict, "conclusion": str}
_YAML = {str: "text", list: "list", dict: "mapping"}


class _Loader(yaml.SafeLoader):
    """YAML's own, but of a key that comes twice it does not take the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; ConstructorError if a key comes twice."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(self.construct_object(key_node, deep=True))  # 1 and "1" are one name
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key} comes twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


@dataclass(frozen=True)
class Comparison:
    """What ``comparison.yaml`` says."""

    folder: Path  # where the file is
    title: str
    fixed: tuple[str, ...]  # words of `src.train` that all cells share
    factors: Mapping[str, Mapping[str, tuple[str, ...]]]  # factor → level → its words
    reference: Mapping[str, str]  # factor → the level that the others are compared with
    conclusion: str  # what its page begins with, empty before there is one

    def combinations(self) -> Iterator[tuple[dict[str, str], list[str]]]:
        """Yield the levels of each cell, by factor, and its words; the last factor varies first."""
        for chosen in itertools.product(*self.factors.values()):
            levels = dict(zip(self.factors, chosen, strict=True))
            words = [
                word for factor, level in levels.items() for word in self.factors[factor][level]
            ]
            yield levels, words


def read_comparison(folder: Path) -> Comparison:
    """Read the file of a comparison; ConfigError if it is not there, or not as it is to be."""
    file = folder / COMPARISON
    try:
        content = yaml.load(read_text(file), Loader=_Loader)  # noqa: S506
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}. Give the folder of a comparison.") from error
    except (yaml.YAMLError, ValueError) as error:  # no date, no number, no UTF-8
        raise ConfigError(f"{file} is no YAML: {error}") from error
    content = {"conclusion": "", **content} if isinstance(content, dict) else {}
    for key, kind in _KEYS.items():
        if not isinstance(content.get(key), kind):
            raise ConfigError(f"{file}: {key} is missing or no {_YAML[kind]}.")
    if more := sorted(map(str, content.keys() - _KEYS)):
        raise ConfigError(f"{file}: there is no key {more[0]!r}; allowed: {', '.join(_KEYS)}.")
    factors = {str(name): _levels(file, name, of) for name, of in content["factors"].items()}
    refuse_links(folder)  # a cell that is finished has all but its record removed
    every = (words for levels in factors.values() for words in levels.values())
    _check_words(file, [*content["fixed"], *itertools.chain.from_iterable(every)])
    _check_seed(file, factors)
    reference = _reference(file, content["reference"], factors)
    fixed = tuple(content["fixed"])
    conclusion = content["conclusion"].strip()
    return Comparison(folder, content["title"], fixed, factors, reference, conclusion)


def _reference(
    file: Path, given: Mapping[Any, Any], factors: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    reference = {str(name): str(level) for name, level in given.items()}
    for factor, level in reference.items():
        if level not in factors.get(factor, {}):
            known = [f"{name}: {each}" for name, of in factors.items() for each in of]
            raise ConfigError(
                f"{file}: reference.{factor}={level} is no level of a factor. There are: "
                f"{', '.join(known)}."
            )
    if not {*reference} - {"seed"}:
        raise ConfigError(f"{file}: reference names no factor; write {{<factor>: <level>}}.")
    return reference


def _check_seed(file: Path, factors: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Refuse seeds under another factor's name, and a factor of that name that is none.

    The levels of ``seed`` are averaged and those of all others are not.
    """
    for level, words in factors.get("seed", {}).items():
        if [key_of(word) for word in words] != ["seed"]:
            raise ConfigError(
                f"{file}: factors.seed.{level} is {' '.join(words)}: seeds are averaged, so that a "
                "level is seed=<a number> and nothing else. Call the factor something else."
            )
    for factor, levels in factors.items():
        words = [word for level in levels.values() for word in level]
        if factor != "seed" and any(key_of(word) == "seed" for word in words):
            raise ConfigError(
                f"{file}: factors.{factor} has other seeds. Call the factor seed: what it varies "
                "is averaged."
            )


def _check_words(file: Path, words: Sequence[object]) -> None:
    """Refuse words that say more than settings of a training: the file may be anybody's."""
    check_overrides(file, list(map(str, words)))
    for key, _, value in (str(word).lstrip("+~").partition("=") for word in words):
        if key in OF_A_START:
            raise ConfigError(
                f"{file}: {key}={value} is of one start; give it on the command line."
            )
        if key.startswith("paths") or key.rpartition(".")[2] in WRITTEN or address_of(key, value):
            raise ConfigError(f"{file}: {key}={value} is a place; give it on the command line.")


def _levels(file: Path, factor: str, levels: Any) -> dict[str, tuple[str, ...]]:  # noqa: ANN401
    if not isinstance(levels, dict) or not levels:
        raise ConfigError(
            f"{file}: factors.{factor} is no mapping of levels to words, such as "
            f"{{a: model/attention=window, b: [model/attention=none, seed=1]}}."
        )
    for level in levels:  # a part of a folder's name
        if not re.fullmatch(r"\w[\w.-]*", str(level)):
            raise ConfigError(f"{file}: factors.{factor}: {level!r} is no plain word.")
    return {
        str(level): tuple(words) if isinstance(words, list) else (str(words),)
        for level, words in levels.items()
    }
