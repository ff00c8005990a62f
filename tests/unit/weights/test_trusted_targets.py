import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from src.core.errors import CheckpointError
from src.core.paths import CONF_DIR
from src.weights.trusted_targets import TRUST, refuse_foreign_targets

FILE = Path("some.ckpt")


def _config(target: str) -> dict[str, object]:
    return {"model": {"blocks": [{"_target_": "torch.nn.Conv2d"}, {"_target_": target}]}}


@pytest.mark.parametrize(
    "target",
    [
        *("os.system", "posix.system", "subprocess.run", "builtins.eval", "torch.hub.load"),
        *("torch.load", "numpy.load", "hydra.utils.instantiate", "torch.nn.functional.torch.load"),
        *("src.data.cache.os.system", "src.data.cache.np.load", "src.models.attention.Registry"),
        *(
            "src.weights.network_file.write_network",
            "tests.support.nothing.Nothing",
            "nowhere.X",
        ),
    ],
)
def test_a_checkpoint_may_not_call_what_is_no_component(target: str) -> None:
    with pytest.raises(CheckpointError, match=f"some.ckpt: refused(.|\n)*{target}"):
        refuse_foreign_targets(FILE, _config(target))


@pytest.mark.parametrize(
    "target",
    [
        *(
            "src.models.backbones.panet.PANet",
            "src.data.datamodule.RestorationData",
            "torch.nn.L1Loss",
        ),
        *("src.ops.resize.target_size", "lightning.pytorch.Trainer", "torch.optim.AdamW"),
    ],
)
def test_components_may_be_called(target: str) -> None:
    refuse_foreign_targets(FILE, _config(target))


def test_everything_that_our_configuration_offers_may_be_called() -> None:
    for file in CONF_DIR.rglob("*.yaml"):
        if file.is_relative_to(CONF_DIR / "hydra"):
            continue  # Hydra's own node is not part of a checkpoint
        loaded = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
        refuse_foreign_targets(file, loaded)


def test_files_of_the_users_own_may_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own_blocks.py").write_text("import os\n\n\nclass Block:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    refuse_foreign_targets(FILE, _config("my_own_blocks.Block"))
    with pytest.raises(CheckpointError, match=r"my_own_blocks\.os\.system"):
        refuse_foreign_targets(FILE, _config("my_own_blocks.os.system"))


def test_an_installed_package_can_be_trusted_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match=f"{TRUST}=kornia python"):
        refuse_foreign_targets(FILE, _config("kornia.losses.SSIMLoss"))
    monkeypatch.setitem(os.environ, TRUST, "other,kornia")
    refuse_foreign_targets(FILE, _config("kornia.losses.SSIMLoss"))
