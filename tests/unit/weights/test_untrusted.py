"""What configurations in files may say, whoever wrote them."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from src.app.config.options import all_groups, options_of
from src.app.config.resume import check_overrides
from src.core.errors import UntrustedError
from src.core.paths import CONF_DIR
from src.core.registry import Registry
from src.models.attention import ATTENTION
from src.models.backbones import BACKBONES
from src.models.spandrel_net import SpandrelNet
from src.ops.resize import target_size
from src.training.callbacks.report_to_study import ReportToStudy
from src.training.tasks import TASKS
from src.weights import untrusted
from src.weights.untrusted import (
    TRUST,
    UNLISTED,
    check_config,
    check_saved,
    offered,
)
from tests.support.compose import compose_config
from tools.hostile_files import KINDS, RUN, WORDS, Hostile

FILE = Path("some.ckpt")


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    config = OmegaConf.to_container(compose_config(), resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def test_what_training_saves_is_read_as_it_is(composed: dict[str, Any]) -> None:
    assert check_saved(FILE, composed) == composed


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.places != (RUN,)], ids=lambda kind: kind.name
)
def test_a_hostile_configuration_is_refused_and_the_key_is_named(
    kind: Hostile, composed: dict[str, Any], tmp_path: Path
) -> None:
    config = copy.deepcopy(composed)
    kind.edit(config, str(tmp_path / "ran"))
    with pytest.raises(UntrustedError, match=r"some\.ckpt: refused") as refused:
        check_saved(FILE, config)
    assert kind.says in str(refused.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", WORDS)
def test_hostile_words_of_a_run_folder_are_refused(name: str) -> None:
    word, says = WORDS[name]
    with pytest.raises(UntrustedError) as refused:
        check_overrides(FILE, ["seed=1", word])
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "word",
    [
        *("model=panet", "model/attention=pyramid", "+experiment=x/y", "~optimizer.betas"),
        *("data.train_dir=../photos", "weights=../a.ckpt", "+trainer.x=null", "data.a=[1,2]"),
        *("++a.b={c: 1}", "data.name='a, b'", "+callbacks.r.monitor=${monitor}"),
        "+callbacks.r._target_=src.training.callbacks.report_to_study.ReportToStudy",
    ],
)
def test_words_that_only_choose_and_set_are_taken(word: str) -> None:
    check_overrides(FILE, [word])


def _options() -> Iterator[tuple[str, str]]:
    for group in all_groups():
        if group not in {"dataset", "hparams_search", "model/attention"}:
            yield from ((group, option) for option in options_of(group))


def test_everything_that_our_configuration_offers_may_be_saved() -> None:
    for group, option in _options():
        text = (CONF_DIR / group / f"{option}.yaml").read_text(encoding="utf-8")
        while "${" in text:  # one within another
            text = re.sub(r"\$\{[^{}]*\}", "x", text)
        loaded = yaml.safe_load(text)
        root = "@package _global_" in text
        loaded.pop("hydra", None)  # where the run goes: no part of what it saves
        check_config(FILE, loaded if root else {group.partition("/")[0]: loaded})


@pytest.mark.parametrize("registry", [BACKBONES, ATTENTION, TASKS], ids=["net", "block", "task"])
def test_every_registered_component_is_listed(registry: Registry[Any]) -> None:
    listed = set().union(*offered(CONF_DIR).values())
    classes = [registry[name].cls for name in registry]
    assert {f"{cls.__module__}.{cls.__qualname__}" for cls in classes} <= listed


def test_the_components_that_no_file_of_conf_offers_are_there() -> None:
    names = {
        f"{cls.__module__}.{cls.__qualname__}" for cls in (SpandrelNet, ReportToStudy, target_size)
    }
    assert set().union(*UNLISTED.values()) == names


def test_a_moved_component_is_found_by_its_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = {"src.old.panet.PANet": "src.models.backbones.panet.PANet"}
    monkeypatch.setattr(untrusted, "current_name", lambda name: moved.get(name, name))
    checked = check_config(FILE, {"model": {"_target_": "src.old.panet.PANet"}})
    assert checked["model"]["_target_"] == "src.models.backbones.panet.PANet"


@pytest.fixture
def own_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_own_block.py").write_text(
        "from pathlib import Path\n\n\nclass Block:\n    pass\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "my_own_block.Block"


def test_the_refusal_says_what_to_type_and_that_works(
    own_part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"model": {"_target_": own_part}, "loss": {"_target_": "torch.nn.KLDivLoss"}}
    with pytest.raises(UntrustedError) as refused:
        check_config("theirs.ckpt", config)
    words = f"{own_part},torch.nn.KLDivLoss"
    assert f"{TRUST}={words} python -m" in str(refused.value)
    monkeypatch.setenv(TRUST, words)
    assert check_config("theirs.ckpt", config) == config
    assert "Trusted, as you asked: theirs.ckpt calls my_own_block.Block" in caplog.text


@pytest.mark.parametrize(
    ("trusted", "target", "says"),
    [
        ("my_own_block", "my_own_block.Path", "is another name for something of 'pathlib"),
        ("my_own_block", "my_own_block.Missing", "cannot be imported"),
        ("not_there", "not_there.Block", "PYTHONPATH=<its folder>"),
        ("os,subprocess", "os.system", "cannot allow 'os.system'"),
        ("my_own", "my_own_block.Block", "would call 'my_own_block.Block'"),
    ],
)
def test_trust_reaches_no_further_than_it_says(
    trusted: str, target: str, says: str, own_part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, trusted)
    with pytest.raises(UntrustedError) as refused:
        check_config(FILE, {"model": {"_target_": target}})
    assert says in str(refused.value)


def test_no_way_to_trust_a_way_to_run_any_program_is_advised() -> None:
    with pytest.raises(UntrustedError) as refused:
        check_config(FILE, {"model": {"_target_": "os.system"}})
    assert TRUST not in str(refused.value)
