"""OpenVINO for tests, which may tell nobody of its import."""

from importlib.util import find_spec
from typing import Any

import pytest

from src.commands.export.lowered import openvino


def openvino_or_skip() -> Any:  # noqa: ANN401
    """Return the package without its telemetry; skip the test where it is not installed.

    `pytest.importorskip("openvino")` would import it with.
    """
    if find_spec("openvino") is None:
        pytest.skip("the extra 'openvino' is not installed")
    return openvino()
