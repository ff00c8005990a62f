"""A job of a search tells its study how it does, and stops where others did better."""

import math

import optuna
from lightning import Callback, LightningModule, Trainer

PRUNED_AT = "pruned_at_step"
"""Attribute of a trial that was stopped."""


class ReportToStudy(Callback):
    """Report the validation score; stop when it is below the median of the others' at that step.

    This is the median stopping rule of Golovin et al. (2017), doi:10.1145/3097983.3098043.
    Only the first process speaks to the study; all stop after the same step.

    Args:
        storage: URL of the study.
        study: Its name.
        trial: Identity of the trial in the storage.
        monitor: The score, e.g. ``val/psnr``.
        warmup_steps: Optimizer steps before a trial may be stopped.
        startup_trials: Trials that must have ended before one may be stopped.
    """

    def __init__(
        self,
        *,
        storage: str,
        study: str,
        trial: int,
        monitor: str,
        warmup_steps: int = 0,
        startup_trials: int = 4,
    ) -> None:
        self.storage, self.study, self.trial, self.monitor = storage, study, trial, monitor
        self.pruner = optuna.pruners.MedianPruner(startup_trials, warmup_steps)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, and stop if the study says so."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        score = float(trainer.callback_metrics.get(self.monitor, math.nan))
        worse = trainer.is_global_zero and self._is_worse(score, trainer.global_step)
        if trainer.strategy.reduce_boolean_decision(worse, all=False):
            trainer.should_stop = True
            trainer.limit_val_batches = 0  # Lightning would validate once more

    def _is_worse(self, score: float, step: int) -> bool:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.load_study(study_name=self.study, storage=self.storage, pruner=self.pruner)
        trial = optuna.trial.Trial(study, self.trial)
        if not math.isfinite(score):
            return False
        trial.report(score, step)
        if trial.should_prune():
            trial.set_user_attr(PRUNED_AT, step)
            return True
        return False
