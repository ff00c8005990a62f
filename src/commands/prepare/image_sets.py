"""The image sets that conf/dataset/ describes, as objects."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.commands.prepare.image_set import ImageSet
from src.core.errors import ConfigError
from src.core.paths import CONF_DIR
from src.data.prepared import known_sets


def chosen_sets(cfg: DictConfig) -> list[ImageSet]:
    """Return the sets that ``cfg.dataset`` names.

    Raises:
        ConfigError: If there is none, or one is described wrongly.
    """
    chosen = OmegaConf.to_container(cfg.get("dataset") or OmegaConf.create(), resolve=True)
    if not isinstance(chosen, dict) or not chosen:
        raise ConfigError(
            f"No image set is named: dataset=<{' | '.join(known_sets())}>, or several: "
            "dataset=[set5,set14]."
        )
    return [image_set_of(node) for node in chosen.values()]


def image_set_of(node: Mapping[str, Any]) -> ImageSet:
    """Return the set that one node of conf/dataset/ describes; ConfigError if it is wrong."""
    try:
        return ImageSet(**{key: value for key, value in node.items() if key != "_target_"})
    except ValueError as error:
        raise ConfigError(f"dataset.{node['name']}: {error}") from error


def all_sets(conf_dir: Path = CONF_DIR) -> list[ImageSet]:
    """Return every set that conf/dataset/ describes."""
    loaded = [OmegaConf.to_container(OmegaConf.load(file)) for file in _files(conf_dir)]
    single = [node for node in loaded if isinstance(node, dict) and "name" in node]
    return [
        image_set_of({str(key): value for key, value in node.items() if key != "defaults"})
        for node in single
    ]


def _files(conf_dir: Path) -> list[Path]:
    return sorted(
        file for file in (conf_dir / "dataset").glob("*.yaml") if not file.name.startswith("_")
    )
