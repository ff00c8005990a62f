"""What export refuses or says before the minutes of work."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from src.commands.export.command import export
from src.commands.export.onnx_file import need_packages
from src.core.errors import CheckpointError, ConfigError
from src.core.paths import CONF_DIR
from src.weights.zoo import zoo_names
from tests.support.compose import compose_config
from tests.support.images import write_folder


@pytest.mark.parametrize("judging", [False, True])
def test_a_folder_that_cannot_be_written_is_found_before_the_network_is_traced(
    tmp_path: Path, judging: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def traced(*_: object) -> None:
        pytest.fail("was traced")

    monkeypatch.setattr("src.commands.export.command.trace", traced)
    photos = write_folder(tmp_path / "photos", 1, height=48, width=48)
    words = ["checkpoint=zoo/denoise", "output=/proc/net.pt2"]  # where even root makes no file
    words += [f"judged={photos}"] if judging else []
    with pytest.raises(CheckpointError, match=r"/proc/net\.pt2 cannot be written"):
        export(compose_config(*words, config_name="export"))


@pytest.mark.parametrize("suffix", ["onnx", "xml"])
@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_for_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, suffix: str, missing: str
) -> None:
    monkeypatch.setattr("src.core.errors.find_spec", lambda name: None if name == missing else name)
    extra = {"onnx": "export", "xml": "openvino"}[suffix]
    with pytest.raises(ConfigError, match=rf"(?s)output=….{suffix} needs .*'{missing}'.*{extra}\]"):
        need_packages(f".{suffix}")


def test_the_help_names_the_networks_that_come_along() -> None:
    said = OmegaConf.load(CONF_DIR / "hydra/help/export.yaml").template
    assert set(re.findall(r"zoo/\w+", said)) == set(zoo_names())
