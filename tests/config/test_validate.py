"""Which values agree with which annotations, and which names can be found."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from torch import Tensor, nn

from src.app.config.validate import agrees, describe, parameters_of
from src.core.errors import ConfigError
from src.core.registry import locate

FITS: list[tuple[Any, Any]] = [
    (1, int),
    (1, float),
    (1.5, float),
    (1.5, float | Tensor),
    (True, bool),
    ("x", str),
    ("x", str | Path),
    (None, int | None),
    ("y", Literal["rgb", "y"]),
    ([0, 25.5], Sequence[float]),
    ([0.9, 0.99], tuple[float, float]),
    ([1, 2, 3], tuple[int, ...]),
    ([], list[str]),
    ({"a": 1}, Mapping[str, int]),
    ("anything", Any),
    ("anything", "NotResolved"),
    ("anything", Callable[[int], int]),
]
CLASHES: list[tuple[Any, Any]] = [
    (True, int),
    (True, float),
    (1, bool),
    (1.5, int),
    ("1", int),
    ("fast", float | Tensor),
    (1, str),
    (None, int),
    ("z", Literal["rgb", "y"]),
    (1, Literal[True]),
    (25, Sequence[float]),
    ("ab", Sequence[str]),
    ([0, "a"], Sequence[float]),
    ([0.9], tuple[float, float]),
    ([1], Mapping[str, int]),
    (3, nn.Module),
]


@pytest.mark.parametrize(("value", "annotation"), FITS, ids=str)
def test_a_value_of_the_right_type_is_accepted(value: object, annotation: object) -> None:
    assert agrees(value, annotation)


@pytest.mark.parametrize(("value", "annotation"), CLASHES, ids=str)
def test_a_value_of_another_type_is_refused(value: object, annotation: object) -> None:
    assert not agrees(value, annotation)


def test_an_annotation_is_described_as_one_would_say_it() -> None:
    assert describe(int | Literal["auto"] | None) == "int | auto | null"


def test_a_dotted_name_is_found_in_a_module_and_in_a_class() -> None:
    assert locate("torch.nn.L1Loss") is nn.L1Loss
    assert locate("torch.nn.Module.children") is nn.Module.children


@pytest.mark.parametrize(
    ("dotted", "says"),
    [
        ("torch.nn.L1Los", "Did you mean L1Loss"),
        ("torch.optimm.Adam", "Did you mean optim"),
        ("src.core.pathss.ROOT", "Did you mean paths"),
        ("nowhere.at.all", "no package 'nowhere'"),
        ("src.core.paths.ROOT", "a class or function is needed"),
    ],
)
def test_a_dotted_name_that_leads_nowhere_is_refused(dotted: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        locate(dotted)


def test_a_package_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="needs the package 'not_installed_anywhere'"):
        locate("needs_more.Thing")


def test_inherited_parameters_are_those_of_the_class() -> None:
    class Child(nn.Conv2d):
        """Takes what its parent takes."""

    assert parameters_of(Child)["kernel_size"].name == "kernel_size"
