"""Whatever goes wrong while a set is prepared: it is survived or explained, and nothing is left."""

from pathlib import Path

import pytest

from tools.download_faults import ALL, Fault
from tools.flaky_server import FlakyServer


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_a_fault_is_survived_or_explained_and_leaves_nothing_half_made(
    fault: Fault, tmp_path: Path
) -> None:
    with FlakyServer() as server:
        done = fault.run(server, tmp_path)
    assert (done.code == 0) == fault.survived, done.err
    for fragment in fault.says:
        assert fragment in done.err
    assert (tmp_path / "set5/manifest.json").is_file() == fault.survived
    kept = {".downloads"} if fault.keeps else set()
    assert {path.name for path in tmp_path.iterdir()} == kept | (
        {"set5"} if fault.survived else set()
    )
