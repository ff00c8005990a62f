"""What export refuses or says before the minutes of work."""

import re
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from src.commands.export.command import export
from src.commands.export.onnx_file import need_packages
from src.core.errors import CheckpointError, ConfigError, UntrustedError
from src.core.paths import CONF_DIR, ROOT
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


def test_a_checkpoint_whose_degradation_names_code_is_refused_before_it_is_judged(
    tmp_path: Path,
) -> None:
    content = torch.load(ROOT / "tests/made_before/run/checkpoints/last.ckpt", weights_only=True)
    touched = tmp_path / "touched"
    node = {"_target_": "os.system", "command": f"touch {touched}"}
    content["restoration"]["config"]["degradation"] = node
    torch.save(content, tmp_path / "net.ckpt")
    photos = write_folder(tmp_path / "photos", 1, height=48, width=48)
    words = [f"checkpoint={tmp_path}/net.ckpt", f"output={tmp_path}/net.pt2", f"judged={photos}"]
    with pytest.raises(UntrustedError, match=r"os\.system"):
        export(compose_config(*words, config_name="export"))
    assert not touched.exists()


def test_the_help_names_the_networks_that_come_along() -> None:
    said = OmegaConf.load(CONF_DIR / "hydra/help/export.yaml").template
    assert set(re.findall(r"zoo/\w+", said)) == set(zoo_names())
