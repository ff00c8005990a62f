"""Weights & Biases beside metrics.csv: online where there is a key, else offline, and said so."""

import logging
import netrc
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import wandb
from lightning.pytorch.loggers import WandbLogger

logger = logging.getLogger(__name__)


def wandb_logger(
    *,
    save_dir: str | Path,
    project: str = "exemplar",
    entity: str | None = None,
    name: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    tags: Sequence[str] = (),
    offline: bool = False,
    log_model: bool = False,
) -> WandbLogger:
    """Return Lightning's logger of one run; steps are the trainer's.

    Without an API key the run is kept in ``save_dir/wandb`` and can be sent later by
    ``wandb sync``; asking for one would stop a batch job.

    Args:
        save_dir: The run folder.
        project: Where the run appears.
        entity: User or team; None is the key's default.
        name: Of the run; None lets W&B choose.
        group: Runs of one sweep.
        job_type: E.g. the task.
        tags: Words to filter by.
        offline: Never connect.
        log_model: Whether checkpoints are uploaded.
    """
    if not offline and "WANDB_MODE" not in os.environ and not _has_key():
        logger.info(
            "No W&B key on this machine: the run is logged offline into %s/wandb. `wandb login` "
            "for the next one; `wandb sync <folder>` sends this one.",
            save_dir,
        )
        offline = True
    return WandbLogger(
        save_dir=str(save_dir),
        project=project,
        entity=entity,
        name=name,
        group=group,
        job_type=job_type,
        tags=list(tags),
        offline=offline,
        log_model=log_model,
    )


def _has_key() -> bool:
    """Return whether W&B would find an API key without asking: its variable, or a netrc entry."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).netloc
    home = Path.home()
    named = [Path(os.environ["NETRC"])] if "NETRC" in os.environ else []
    for file in (*named, home / ".netrc", home / "_netrc"):
        try:
            if netrc.netrc(file).authenticators(host) is not None:
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def finish() -> None:
    """Close the W&B run of this process, if there is one, whatever way training ended."""
    if wandb.run is not None:
        wandb.finish()
