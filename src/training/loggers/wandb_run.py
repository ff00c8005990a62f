"""Weights & Biases beside metrics.csv: online where that is possible, else offline, and said so."""

import logging
import netrc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

import numpy as np
import wandb
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import WandbLogger
from numpy.typing import NDArray

from src.core.errors import ConfigError
from src.core.paths import home
from src.core.redact import passwords_in, plain_without_passwords
from src.core.types import PlainConfig
from src.training.callbacks.pictures import Cell
from src.training.loggers.lifecycle import Facts, keep_run_id, read_run_id, sweep_name

Mode = Literal["online", "offline", "disabled"]

logger = logging.getLogger(__name__)


def has_key() -> bool:
    """Return whether W&B has a key without asking: in the environment, or in a netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).netloc
    own = home()
    files = [] if own is None else [own / ".netrc", own / "_netrc"]
    named = [Path(os.environ["NETRC"])] if "NETRC" in os.environ else []
    for file in (*named, *files):
        try:
            if netrc.netrc(file).authenticators(host) is not None:
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


class WandbRun(WandbLogger):
    """One W&B run of one job, written by the first process only.

    Its identity is kept in the run folder, so that a resumed job goes on in the same W&B run. Every
    chart has ``trainer/global_step`` as its x-axis, the step that metrics.csv has.

    Args:
        save_dir: The run folder; what W&B writes is in its subfolder ``wandb``.
        project: Where the run appears.
        entity: User or team; None is the key's default.
        name: Of the run; None lets W&B choose.
        group: Runs that belong together; None is the sweep's name in a sweep.
        job_type: E.g. the task.
        tags: Words to filter by.
        mode: ``online``, ``offline`` (sent later by ``wandb sync``), or ``disabled``; None is the
            variable WANDB_MODE, else ``online``. Without a key or a server, ``online`` becomes
            ``offline`` with a line saying so: a batch job must not stop for it.
        log_model: Whether the best checkpoint is kept as an artifact at the end.
        timeout: Seconds after which a server that does not answer counts as unreachable.
    """

    def __init__(
        self,
        *,
        save_dir: str | Path,
        project: str = "exemplar",
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: Sequence[str] = (),
        mode: Mode | None = None,
        log_model: bool = False,
        timeout: float = 60.0,
    ) -> None:
        # Reports of wandb's own crashes to its makers: off unless the user wants them.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        if passwords_in(os.environ.get("WANDB_BASE_URL", "")):
            raise ConfigError(
                "WANDB_BASE_URL holds a password, and W&B prints that address. Leave the password "
                "out; the key is given by WANDB_API_KEY or wandb login."
            )
        self.folder = Path(save_dir)
        shown = plain_without_passwords([name, group or sweep_name(), job_type, list(tags)])
        name, group, job_type, tags = shown
        super().__init__(
            save_dir=str(save_dir),
            project=project,
            entity=entity,
            name=name,
            id=read_run_id(save_dir, "wandb"),
            group=group,
            job_type=job_type,
            tags=tags,
            log_model=log_model,
            mode=self._reachable(mode or cast("Mode", os.environ.get("WANDB_MODE", "online"))),
            settings=wandb.Settings(init_timeout=timeout),
        )
        self._wandb_init.pop("anonymous")  # Lightning passes it, and wandb 0.31 warns of it

    @property
    def identity(self) -> tuple[str, str]:
        """Under which name and id checkpoints note the run."""
        return "wandb", str(self.version)

    def _reachable(self, mode: Mode) -> Mode:
        if mode != "online" or has_key():
            return mode
        self._say_offline("No W&B key on this machine (`wandb login` makes one)")
        return "offline"

    @rank_zero_only
    def _say_offline(self, why: str) -> None:
        logger.info(
            "%s: the run is logged offline; `wandb sync %s/wandb/offline-run-*` sends it.",
            why,
            self.folder,
        )

    @rank_zero_only
    def begin(self, config: PlainConfig, facts: Facts) -> None:
        """Open the run; its config is ``facts``, flat, and the whole below ``config``."""
        try:
            run = self.experiment
        except wandb.errors.CommError as error:
            self._say_offline(f"The W&B server did not answer ({str(error).splitlines()[0]})")
            self._wandb_init["mode"] = "offline"
            run = self.experiment
        if run.disabled:
            return
        keep_run_id(self.folder, "wandb", run.id)
        run.config.update({**facts, "config": config}, allow_val_change=True)

    @rank_zero_only
    def end(self, *, failed: bool) -> None:
        """Close the run; after an error or a signal it counts as failed."""
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(failed))
            self._experiment = None

    @rank_zero_only
    def log_picture(self, key: str, picture: NDArray[np.uint8], *, caption: str, step: int) -> None:
        """Show an (H, W, 3) picture under ``key``."""
        self.log_image(key, [picture], step=step, caption=[caption])

    @rank_zero_only
    def log_scores(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, step: int
    ) -> None:
        """Show a wandb.Table under ``key``, which can be sorted and joined over runs."""
        self.log_table(key, columns=list(columns), data=[list(row) for row in rows], step=step)
