"""The linter finds code that would run what a file or a user says; `make lint` runs it on src/."""

import re
import subprocess
import sys

import pytest

from src.core.paths import ROOT

FORBIDDEN = [
    "eval(text)",
    "exec(text)",
    "import pickle; pickle.loads(content)",
    "from pickle import loads",
    "import dill",
    "import torch; torch.load(path, weights_only=False)",
    "import numpy as np; np.load(path)",
    "import yaml; yaml.load(text, Loader=yaml.Loader)",
    "import os; os.system(command)",
    "import subprocess; subprocess.run(command, shell=True, check=False)",
    "import tarfile; tarfile.open(path).extractall(folder)",
    "import tempfile; tempfile.mktemp()",
    "import joblib; joblib.load(path)",
    "import torch; torch.hub.load(repository, name)",
]
HARMLESS = [
    "import yaml; yaml.safe_load(text)",
    "import pickle; error = pickle.UnpicklingError",
    "net.eval()",
    "import re; re.compile(pattern)",
    "import torch; torch.compile(net)",
    "import tarfile; tarfile.open(path).extractall(folder, filter='data')",
]


def _dangers(source: str) -> set[str]:
    """Return the rules on dangerous code (S) and banned names (TID251) that ``source`` breaks."""
    options = ["--select=S,TID251", "--output-format=concise", "--stdin-filename=src/x.py", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", *options],
        input=source + "\n",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return set(re.findall(r": (S\d+|TID251) ", done.stdout))


@pytest.mark.parametrize("source", FORBIDDEN)
def test_what_is_forbidden_is_found(source: str) -> None:
    assert _dangers(source)


@pytest.mark.parametrize("source", HARMLESS)
def test_what_is_harmless_is_not(source: str) -> None:
    assert _dangers(source) == set()
