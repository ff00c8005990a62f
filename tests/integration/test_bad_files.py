from pathlib import Path

import pytest

from tools.bad_files import ALL, BadFile


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.name)
def test_bad_input_is_refused_with_a_message_that_helps(
    bad: BadFile, run: Path, tmp_path: Path
) -> None:
    done = bad.run(tmp_path)
    assert "Traceback" not in done.err
    assert done.code == bad.code, done.err
    message = done.err[done.err.rfind("error: ") :]
    for fragment in bad.says:
        assert fragment in message
