"""Bad configurations are refused, with the key, what is allowed, and the nearest valid name."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from src.app.config.check import Request
from src.core.errors import ConfigError
from src.core.paths import ROOT
from tests.support.compose import check
from tools.refusals import ALL, NAMES, Refusal


@pytest.mark.parametrize("refusal", ALL, ids=lambda refusal: refusal.typed)
def test_bad_command_line_is_refused_with_a_message_that_helps(refusal: Refusal) -> None:
    message = refusal.message()
    for fragment in refusal.says:
        assert fragment in message


@pytest.mark.long
@pytest.mark.parametrize("refusal", [NAMES[0], NAMES[6], NAMES[-1]], ids=lambda item: item.typed)
def test_process_exits_with_2_and_one_message_and_no_traceback(
    refusal: Refusal, tmp_path: Path
) -> None:
    words = ["-X", "importtime", "-m", f"src.{refusal.command}", *refusal.overrides]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    imports = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    said = "\n".join(line for line in done.stderr.splitlines() if line not in imports)
    assert done.returncode == 2
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert refusal.says[0] in said
    modules = {line.rpartition("|")[2].strip() for line in imports}
    assert "hydra" in modules
    assert not modules & {"torch", "lightning", "albumentations", "wandb"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_key_that_only_some_options_of_a_sweep_have_is_checked_in_the_jobs_that_have_it() -> None:
    words = ("model=panet_tiny", "scheduler=constant,multistep", "scheduler.gamma=0.5,0.7")
    check(Request("train", words, multirun=True))
    with pytest.raises(ConfigError, match=r"gamma=x.*\n.*job with scheduler=multistep"):
        check(Request("train", (*words[:2], "scheduler.gamma=x"), multirun=True))
    with pytest.raises(ConfigError, match=r"gama=0\.5: scheduler has no key"):
        check(Request("train", (*words[:2], "scheduler.gama=0.5"), multirun=True))
    with pytest.raises(ConfigError, match=r"gamma=0\.5: scheduler has no key"):
        check(Request("train", (words[0], "scheduler=constant", "scheduler.gamma=0.5")))


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("data.target_dir=a", "data has no key 'target_dir'. It is a key of data=pairs, data=sidd"),
        ("data.train_dir=a", "data has no key 'train_dir'. It is a key of data=folder"),
        ("data.train_input_dir=a", "Did you mean val_input_dir (of data=pairs), "),
        ("data.wokers=1", "data has no key 'wokers'. Did you mean workers?"),
        ("data.qqqq=1", "data has no key 'qqqq'. Allowed: batch_size, "),
    ],
)
def test_a_key_of_another_option_is_said_to_be_one(word: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        check(Request("train", ("data=sample_photos", word)))


def test_a_key_of_a_group_that_a_checkpoint_chooses_names_what_can_be_typed() -> None:
    words = ("checkpoint=outputs/demo", "sets=set5", "data.cache_dir=decoded")
    with pytest.raises(ConfigError, match=r"no data is chosen here.*or take paths\.cache_dir\."):
        check(Request("evaluate", words))
