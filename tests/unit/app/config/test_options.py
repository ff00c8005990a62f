import pytest

from src.app.config.check import Request
from src.app.config.options import register_resolvers, with_slash
from tests.support.compose import check


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("model.attention=pyramid", "model/attention=pyramid"),
        ("model.attention=none,channel", "model/attention=none,channel"),
        ("model.attention=pyramyd", "model.attention=pyramyd"),
        ("model.attention", "model.attention"),
        ("model.attention.levels=3", "model.attention.levels=3"),
        ("model.channels=8", "model.channels=8"),
        ("model=panet", "model=panet"),
        ("'input=\"a=b\"'", "'input=\"a=b\"'"),
    ],
)
def test_a_group_within_a_group_may_be_typed_with_a_dot(typed: str, meant: str) -> None:
    assert with_slash(typed) == meant


def test_what_is_meant_is_accepted() -> None:
    register_resolvers(claim=False)
    check(Request("train", (with_slash("model.attention=none"),)), complete=False)
