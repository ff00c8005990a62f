"""MLflow beside metrics.csv: a store of all runs on this machine, or a tracking server."""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import MLFlowLogger
from numpy.typing import NDArray

from src.core.errors import need
from src.core.paths import from_root
from src.core.types import PlainConfig
from src.training.callbacks.pictures import Cell
from src.training.loggers.lifecycle import Facts, keep_run_id, read_run_id


class MLflowRun(MLFlowLogger):
    """One MLflow run of one job; a resumed job goes on in the same one.

    Args:
        save_dir: The run folder.
        store: Folder of a SQLite store and its artifacts, for all runs of this machine; relative
            to the repository root.
        experiment: The MLflow experiment, which holds runs.
        name: Of the run; None lets MLflow choose.
        tracking_uri: Of a server; None is MLFLOW_TRACKING_URI, else ``store``.
        log_model: Whether the best checkpoint is kept as an artifact at the end.

    Raises:
        ConfigError: If the package is not installed.
    """

    def __init__(
        self,
        save_dir: str | Path,
        *,
        store: str | Path = "outputs/mlflow",
        experiment: str = "exemplar",
        name: str | None = None,
        tracking_uri: str | None = None,
        log_model: bool = False,
    ) -> None:
        need("mlflow", extra="mlflow", asked="logger=mlflow")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when it is imported
        self.folder = Path(save_dir)
        server = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        local = from_root(store)
        super().__init__(
            experiment_name=experiment,
            run_name=name,
            tracking_uri=server or f"sqlite:///{local / 'mlflow.db'}",
            artifact_location=None if server else str(local / "artifacts"),
            log_model=log_model,
            run_id=read_run_id(save_dir, "mlflow"),
        )

    @property
    def identity(self) -> tuple[str, str]:
        """Under which name and id checkpoints note the run."""
        return "mlflow", str(self.run_id)

    @rank_zero_only
    def begin(self, config: PlainConfig, facts: Facts) -> None:
        """Open the run: ``facts`` become its tags, the whole config an artifact."""
        if self._artifact_location is not None:
            Path(self._artifact_location).mkdir(parents=True, exist_ok=True)
        name, run_id = self.identity
        keep_run_id(self.folder, name, run_id)
        for fact, value in facts.items():
            self.experiment.set_tag(run_id, fact, value)
        text = json.dumps(config, indent=2, default=str)
        self.experiment.log_text(run_id, text, "config.json")

    @rank_zero_only
    def end(self, *, failed: bool) -> None:
        """Close the run; after an error or a signal it counts as failed."""
        self.experiment.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")

    @rank_zero_only
    def log_picture(self, key: str, picture: NDArray[np.uint8], *, caption: str, step: int) -> None:
        """Keep an (H, W, 3) picture as an artifact; MLflow has no captions."""
        self.experiment.log_image(self.run_id, picture, f"{key}/step_{step:07d}.png")

    @rank_zero_only
    def log_scores(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, step: int
    ) -> None:
        """Keep a table of scores as a CSV artifact."""
        text = io.StringIO()
        csv.writer(text).writerows([columns, *rows])
        self.experiment.log_text(self.run_id, text.getvalue(), f"{key}/step_{step:07d}.csv")
