"""conf/dataset/ describes every set that the papers use, as the command line reads it."""

import pytest
from omegaconf import OmegaConf

from src.app.config.check import Request
from src.app.config.options import options_of, register_resolvers
from src.commands.prepare.image_set import all_sets, chosen_sets, size_of
from src.core.errors import ConfigError
from src.core.paths import CONF_DIR
from src.data.prepared import known_sets
from tests.support.compose import check, compose_config

SETS = {one.name: one for one in all_sets()}
COUNTS = {
    "div2k": 800,
    "div2k_valid": 100,
    "flickr2k": 2650,
    "bsds500": 399,
    "wed": 4744,
    "lsdir": 84991,
    "set5": 5,
    "set14": 14,
    "bsd100": 100,
    "urban100": 100,
    "manga109": 109,
    "cbsd68": 68,
    "bsd68": 68,
    "set12": 12,
    "kodak24": 24,
    "kodak24_cropped": 24,
    "mcmaster18": 18,
    "live1": 29,
    "classic5": 5,
}
"""Images a set; BSDS500 without its val part (BSD100) and without the image that is in Set5."""


def test_every_set_is_described_with_its_number_of_images() -> None:
    assert {name: one.count for name, one in SETS.items()} == COUNTS


@pytest.mark.parametrize("name", options_of("dataset"))
def test_every_option_is_accepted_by_the_command_line(name: str) -> None:
    register_resolvers(claim=False)
    check(Request("prepare", (f"dataset={name}",)))


@pytest.mark.parametrize("limit", ["members", "total_gb", "image_gb", "ratio"])
def test_a_limit_against_bombs_can_be_lifted(limit: str) -> None:
    register_resolvers(claim=False)
    check(Request("prepare", ("dataset=set5", f"limits.{limit}=null")))
    check(Request("prepare", ("dataset=set5", f"limits.{limit}=7")))


def test_several_sets_can_be_named_at_once_each_under_its_own_name() -> None:
    cfg = compose_config("dataset=[set5,set14]", config_name="prepare")
    assert [one.name for one in chosen_sets(cfg)] == ["set5", "set14"]


def test_df2k_is_div2k_and_flickr2k() -> None:
    cfg = compose_config("dataset=df2k", config_name="prepare")
    assert [one.name for one in chosen_sets(cfg)] == ["div2k", "div2k_valid", "flickr2k"]


@pytest.mark.long
def test_every_test_set_but_the_one_on_request_is_in_all_test() -> None:
    cfg = compose_config("dataset=all_test", config_name="prepare")
    tests = {one.name for one in SETS.values() if one.role == "test"}
    assert {one.name for one in chosen_sets(cfg)} == tests - {"manga109", "div2k_valid"}


def test_no_set_named_is_refused_with_the_names() -> None:
    with pytest.raises(ConfigError, match=r"dataset=<all_test \| bsd100"):
        chosen_sets(compose_config(config_name="prepare"))


@pytest.mark.parametrize("name", SETS)
def test_a_set_can_be_downloaded_or_says_what_to_do(name: str) -> None:
    assert bool(SETS[name].archives) != bool(SETS[name].manual)


@pytest.mark.parametrize("name", [name for name, one in SETS.items() if one.pixels])
def test_known_images_are_as_many_as_the_set_has_and_of_an_allowed_size(name: str) -> None:
    one = SETS[name]
    assert len(one.pixels) == one.count
    sizes = [size_of(known) for known in one.pixels.values()]
    assert all(one.allows(*size) for size in sizes)
    assert not all(one.allows(width // 2, height // 2) for width, height in sizes)


def test_urban100_of_half_size_is_refused_and_that_cut_to_multiples_of_12_is_not() -> None:
    sizes = [size_of(known) for known in SETS["urban100"].pixels.values()]
    assert not any(SETS["urban100"].allows(width // 2, height // 2) for width, height in sizes)
    assert all(SETS["urban100"].allows(w // 12 * 12, h // 12 * 12) for w, h in sizes)


def test_cbsd68_is_a_part_of_bsd100() -> None:
    assert SETS["cbsd68"].pixels.items() <= SETS["bsd100"].pixels.items()


def test_the_help_names_every_set() -> None:
    text = OmegaConf.load(CONF_DIR / "hydra/help/prepare.yaml").template
    words = set(text.replace(",", " ").split())
    assert set(known_sets()) <= words


@pytest.mark.parametrize("name", ["div2k", "flickr2k", "df2k", "bsds500", "wed", "lsdir"])
def test_training_sets_are_a_choice_of_data_and_are_validated_as_the_papers_do(name: str) -> None:
    data = compose_config(f"data={name}").data
    parts = {"df2k": ["div2k", "flickr2k"]}.get(name, name)
    assert data.train.name == parts
    assert dict(data.benchmarks.div2k_valid)["first"] == 10


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("count=0", "count=0 must be at least 1"),
        ("role=tset", "Did you mean test"),
        ("name=../etc", "plain folder name"),
        ("layouts=[]", "takes every image"),
        ("archives=[[{url: 'ftp://a/b.zip'}]]", "must be http or https"),
        ("archives=[[{url: 'file:///etc/passwd'}]]", "source="),
        ("archives=[[{url: 'http://a/b.zip', checksum: 'crc:1'}]]", "sha256:<hex>"),
    ],
)
def test_a_wrong_description_is_refused_before_anything_is_fetched(change: str, says: str) -> None:
    cfg = compose_config("dataset=set5", f"dataset.set5.{change}", config_name="prepare")
    with pytest.raises(ConfigError, match=says):
        chosen_sets(cfg)
