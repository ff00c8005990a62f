import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.core.errors import did_you_mean
from src.core.paths import CONF_DIR, INSTALLED, ROOT, from_root, user_cache


def test_relative_paths_start_at_the_repository_wherever_one_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert from_root("outputs/a") == ROOT / "outputs/a"


def test_a_checkout_is_not_taken_for_an_installed_package() -> None:
    assert not INSTALLED


def test_the_cache_of_a_user_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXEMPLAR_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert user_cache() == Path.home() / ".cache/exemplar"
    monkeypatch.setenv("XDG_CACHE_HOME", "/common")
    assert user_cache() == Path("/common/exemplar")
    monkeypatch.setenv("EXEMPLAR_CACHE", "/own")
    assert user_cache() == Path("/own")


def test_absolute_paths_stay(tmp_path: Path) -> None:
    assert from_root(tmp_path) == tmp_path


def test_tilde_is_the_home_folder() -> None:
    assert from_root("~/photos") == Path.home() / "photos"


def test_a_tilde_that_is_nobodys_home_is_part_of_a_name() -> None:
    assert from_root("~nobody_of_that_name/a") == ROOT / "~nobody_of_that_name/a"


def test_the_configuration_is_found() -> None:
    assert (CONF_DIR / "train.yaml").is_file()


def test_a_far_name_is_answered_with_all() -> None:
    assert did_you_mean("xyz", ["b", "a"]) == "Allowed: a, b."
    assert did_you_mean("xyz", []) == "Allowed: nothing."


def test_a_user_without_home_and_entry_has_a_cache_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(  # as in a container that is started with any uid
        "import pwd\ndef getpwuid(uid):\n    raise KeyError(uid)\npwd.getpwuid = getpwuid\n"
    )
    gone = {"HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "EXEMPLAR_CACHE"}
    environment = {name: value for name, value in os.environ.items() if name not in gone}
    script = "from src.core.paths import home, user_cache; print(home(), user_cache())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["None", str(ROOT / ".cache/exemplar")], done.stderr
