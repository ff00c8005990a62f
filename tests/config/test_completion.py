"""Tab completion as documented, typed into a real bash."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.core.paths import ROOT

PATIENCE_S = 90.0
BASH = shutil.which("bash")


def _documented() -> str:
    page = (ROOT / "docs/how-to/install.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```bash\n(_exemplar\(\).*?)```", page, flags=re.DOTALL)
    return str(block)


def _after_tab(typed: str, folder: Path, wanted: str) -> str:
    """Type words and Tab into an interactive bash; return the screen when ``wanted`` is on it."""
    rc = folder / "rc"
    rc.write_text(f"PS1='ready> '\n{_documented()}", encoding="utf-8")
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    screen, inside = pty.openpty()
    bash = subprocess.Popen(
        [str(BASH), "--noprofile", "--rcfile", str(rc), "-i"],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        cwd=ROOT,
        env={**os.environ, "PATH": paths, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
        start_new_session=True,
    )
    os.close(inside)
    shown, sent, end = "", False, time.monotonic() + PATIENCE_S
    try:
        while wanted not in shown and time.monotonic() < end:
            if select.select([screen], [], [], 0.1)[0]:
                shown += os.read(screen, 65536).decode(errors="replace")
            if not sent and "ready> " in shown:
                os.write(screen, f"{typed}\t\t".encode())
                sent = True
    finally:
        bash.kill()
        bash.wait()
        os.close(screen)
    return shown


@pytest.mark.long
@pytest.mark.skipif(BASH is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("exemplar tra", "exemplar train"),
        ("exemplar train model=panet_t", "model=panet_tiny"),
        ("exemplar train -m optimizer.weight_d", "optimizer.weight_decay="),
        ("python -m src.train model=panet_t", "model=panet_tiny"),
        ("python -m src.train trainer.max_st", "trainer.max_steps="),
        ("python -m src.tra", "src.train"),
    ],
)
def test_tab_completes(typed: str, wanted: str, tmp_path: Path) -> None:
    assert wanted in _after_tab(typed, tmp_path, wanted)
