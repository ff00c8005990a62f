import pytest

from src.core.errors import ConfigError
from src.core.registry import Registry
from src.models.attention import ATTENTION


def _class(module: str) -> type:
    return type("Made", (), {"__module__": module})


def test_the_name_is_the_stem_of_the_module() -> None:
    registry: Registry[object] = Registry("thing", "src.losses")
    made = _class("anywhere.sharpen")
    assert registry.register(paper="none", cost="O(n)")(made) is made
    assert registry["sharpen"].cls is made
    assert registry["sharpen"].cost == "O(n)"


def test_a_second_class_of_one_name_is_refused() -> None:
    registry: Registry[object] = Registry("thing", "src.losses")
    registry.register(paper="none")(_class("one.sharpen"))
    with pytest.raises(ValueError, match="'sharpen' is already"):
        registry.register(paper="none")(_class("two.sharpen"))


def test_a_module_of_several_components_names_each() -> None:
    registry: Registry[object] = Registry("thing", "src.losses")
    one, two = (
        type("One", (), {"__module__": "filters"}),
        type("Two", (), {"__module__": "filters"}),
    )
    registry.register(paper="none", name="sharpen")(one)
    registry.register(paper="some", name="blur")(two)
    assert list(registry) == ["blur", "sharpen"]
    assert registry.name_of("filters.Two") == "blur"
    assert registry.name_of("elsewhere.their_net.TheirNet") == "their_net"


def test_the_same_class_twice_is_one_entry() -> None:
    registry: Registry[object] = Registry("thing", "src.losses")
    made = _class("one.sharpen")
    registry.register(paper="none")(registry.register(paper="none")(made))
    assert list(registry) == ["sharpen"]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"No attention.*'pyramyd'.*Did you mean pyramid"):
        ATTENTION["pyramyd"]


def test_nothing_is_imported_before_the_first_look() -> None:
    registry: Registry[object] = Registry("thing", "no.such.package")
    with pytest.raises(ModuleNotFoundError, match="no"):
        list(registry)


def test_names_come_sorted() -> None:
    assert list(ATTENTION) == sorted(ATTENTION)
    assert len(ATTENTION) == len(list(ATTENTION)) >= 2
