"""Ask Optuna for values, let the launcher run the jobs, tell Optuna what came out."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from src.app.config.schema import leaves
from src.app.sweeps.plan import fitted_sweep
from src.app.sweeps.side_by_side import asked_to_stop
from src.app.sweeps.study import claim, count, fail, open_study, split_overrides, storage_url
from src.app.sweeps.sweep import PRUNED, mark, score_direction, was_cut_short
from src.core.errors import ConfigError, ExemplarError
from src.core.files import write_text
from src.training.callbacks.report_to_study import PRUNED_AT

logger = logging.getLogger(__name__)

_REPORT = "+callbacks.report_to_study"


class Search:
    """One command's work on a study.

    Args:
        config: Of the sweep, with Hydra's own node.
        hydra_context: As Hydra hands it to a sweeper.
        n_trials: Of the study in all.
        batch: Trials that are chosen and launched together.
        study: Name of the study; None for a new one.
        storage: SQLAlchemy URL of the study; None for a file.
        direction: ``maximize`` or ``minimize`` what the jobs return; None: as its metric says.
        seed: Of the choices.
        prune: Whether trials below the median are stopped.
        prune_after: Optimizer steps before that.

    Raises:
        ConfigError: If a setting is out of its range.
    """

    def __init__(
        self,
        config: DictConfig,
        hydra_context: HydraContext,
        *,
        n_trials: int = 20,
        batch: int = 1,
        study: str | None = None,
        storage: str | None = None,
        direction: str | None = None,
        seed: int = 0,
        prune: bool = False,
        prune_after: int = 0,
    ) -> None:
        if n_trials < 1 or batch < 1:
            raise ConfigError("hydra.sweeper.n_trials and hydra.sweeper.batch are at least 1.")
        direction = direction or _direction(config)
        if direction not in {"maximize", "minimize"}:
            raise ConfigError(f"hydra.sweeper.direction={direction}: maximize or minimize.")
        self.config, self.loader = config, hydra_context.config_loader
        self.n_trials, self.batch = n_trials, batch
        self.prune, self.prune_after = prune, prune_after
        self.sweep = Path(str(config.hydra.sweep.dir))
        self.sweep.mkdir(parents=True, exist_ok=True)
        self.name = study or self.sweep.name
        output_root = str(OmegaConf.select(config, "paths.output_root"))
        self.url = storage_url(storage, study, sweep=self.sweep, output_root=output_root)
        self.study = open_study(self.url, self.name, direction=direction, seed=seed)
        begun = self.study.direction.name.lower()
        if begun != direction:
            raise ConfigError(
                f"The study {self.name} was begun to {begun} the score; now it would be to "
                f"{direction} it. Take another hydra.sweeper.study, or go on as it was begun with "
                f"hydra.sweeper.direction={begun}."
            )

    def run(self, overrides: Sequence[str], launcher: Launcher) -> None:
        """Run trials until the study has enough; of several values in a word one is chosen."""
        parser = OverridesParser.create(config_loader=self.loader)
        fixed, space = split_overrides(parser.parse_overrides(list(overrides)))
        write_text(self.sweep / "multirun.yaml", OmegaConf.to_yaml(self.config))
        started, command = self._first_number(), self.config.hydra.job.config_name
        while (left := self.n_trials - count(self.study)) > 0:
            trials = [self.study.ask(space) for _ in range(min(left, self.batch))]
            for trial in trials:
                claim(trial)
            jobs = [
                job
                for trial in trials
                for job in fitted_sweep(command, [[*fixed, *self._chosen(trial)]])
            ]
            returns = launcher.launch(jobs, initial_job_idx=started)
            for number, (trial, job) in enumerate(zip(trials, returns, strict=True), started):
                self._tell(trial, job.return_value, self.sweep / str(number))
            started += len(trials)
            if asked_to_stop():
                return
        self._say()

    def _first_number(self) -> int:
        """Return the number of the next job: after those of an earlier start in this folder."""
        names = [folder.name for folder in self.sweep.iterdir() if folder.name.isdigit()]
        return 1 + max(map(int, names), default=-1)

    def _chosen(self, trial: optuna.Trial) -> list[str]:
        chosen = [f"{key}={value}" for key, value in trial.params.items()]
        if not self.prune:
            return chosen
        report = {
            "_target_": "src.training.callbacks.report_to_study.ReportToStudy",
            "storage": f"'{self.url}'",
            "study": f"'{self.name}'",
            "trial": trial._trial_id,  # noqa: SLF001  the only name that another process can use
            "monitor": "${monitor}",
            "warmup_steps": self.prune_after,
        }
        return [*chosen, *(f"{_REPORT}.{key}={value}" for key, value in report.items())]

    def _tell(self, trial: optuna.Trial, score: object, folder: Path) -> None:
        attributes = self.study.trials[trial.number].user_attrs
        if PRUNED_AT in attributes:
            mark(folder, PRUNED)
            self.study.tell(trial, state=TrialState.PRUNED)
        elif isinstance(score, float) and math.isfinite(score):
            self.study.tell(trial, score)
        else:
            fail(self.study, trial, by_itself=not was_cut_short(folder))

    def _say(self) -> None:
        """Name the best trial."""
        done = self.study.get_trials(states=[TrialState.COMPLETE], deepcopy=False)
        if done:
            best = self.study.best_trial
            values = " ".join(f"{key}={value}" for key, value in best.params.items())
            logger.info("best of %d: %s, score %.4f", count(self.study), values, best.value)
        logger.info("study %s in %s", self.name, self.url)
        if not done:
            raise ExemplarError(
                f"The study {self.name} has no complete trial, of {len(self.study.trials)} begun: "
                f"there is nothing to choose. See {self.sweep} for what ended them."
            )


def _direction(config: DictConfig) -> str:
    """Return what is to be done to the score that the jobs of ``config`` return."""
    given = dict(leaves(OmegaConf.to_container(config, resolve=False)))
    more = score_direction(config.hydra.job.config_name, given)
    if more is None:
        raise ConfigError(
            "Nothing says whether more or less of what this command returns is better: add "
            "hydra.sweeper.direction=maximize or hydra.sweeper.direction=minimize."
        )
    return "maximize" if more else "minimize"
