import re

import pytest

from src.app.config.check import Request
from src.app.config.options import register_resolvers
from src.app.config.schema import check_leaves
from src.core.errors import ConfigError
from tests.support.compose import check

SECRET = "0123456789abcdef"  # noqa: S105  made up


@pytest.mark.parametrize(
    "word",
    [
        "logger.csv.save_dir='${oc.env:SOME_API_KEY}'",
        f"logger.csv.save_dir=https://me:{SECRET}@host/runs",
        f"paths.output_root={SECRET}",
    ],
)
def test_a_secret_of_the_environment_is_refused_by_its_name_and_never_shown(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    register_resolvers(claim=False)
    with pytest.raises(ConfigError, match=r"holds the value of .* SOME_API_KEY") as refusal:
        check(Request("train", (word,)))
    assert SECRET not in str(refusal.value)


def test_other_variables_of_the_environment_may_be_used() -> None:
    check_leaves({"paths": {"root": SECRET}}, {"SOME_FOLDER": SECRET})
    check_leaves({"callbacks": ["true"]}, {"SHORT_KEY": "true"})


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("evaluate", r"or a \.safetensors file, which needs task=… beside it; several: \[a,b\]"),
        ("predict", "checkpoint=….*task=denoise stands for checkpoint=zoo/denoise"),
        ("convert", r"output=… the \.safetensors file to write"),
    ],
)
def test_what_is_needed_is_explained_whole_in_the_words_of_the_command_and_fits_a_terminal(
    command: str, says: str
) -> None:
    register_resolvers(claim=False)
    with pytest.raises(ConfigError, match="Not given, and needed") as refusal:
        check(Request(command, ()))
    lines = str(refusal.value).splitlines()
    assert re.search(says, " ".join(" ".join(lines).split()))
    assert all(len(line) <= 80 for line in lines if not line.startswith("For example"))
