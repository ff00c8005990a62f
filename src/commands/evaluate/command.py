"""Evaluate: score checkpoints, or a model without weights, under a named protocol."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from hydra.errors import HydraException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from src.app.inference import with_attention
from src.app.processes.group import carry_out
from src.app.processes.job import Job
from src.app.processes.process import quiet_lightning
from src.app.processes.user_errors import as_user_error
from src.commands.evaluate import selfcheck, weightless
from src.commands.evaluate.group import settle_evaluation
from src.commands.evaluate.job import Scored, output_folder, score
from src.commands.evaluate.plan import Combination, combinations
from src.commands.evaluate.progress import Bars
from src.commands.evaluate.summary import Outcome, refuse_failures, summary_table, write_summary
from src.core.console import make_console
from src.core.errors import ExemplarError
from src.core.paths import from_root
from src.weights.checkpoint import Checkpoint, open_checkpoint
from src.weights.conversion import with_published_weights


def evaluate(cfg: DictConfig) -> float:
    """Score every combination of ``cfg``; write results.json, scores.csv and pictures of each.

    Returns:
        The mean of the first metric on the first benchmark, for sweeps.

    Raises:
        ConfigError: If there is neither a checkpoint nor a model that needs none, or both.
        ExemplarError: If one of several combinations failed; the others have been scored.
    """
    if cfg.selfcheck:
        quiet_lightning()
        return selfcheck.run(cfg)
    cfg = with_published_weights(cfg)
    planned = combinations(cfg)
    for combination in planned:
        weightless.check_request(combination.applied(cfg))
    folder = from_root(cfg.output) if cfg.output is not None else _common_folder(cfg, planned)
    return carry_out(score_all, settle_evaluation(cfg, folder))


def score_all(job: Job) -> float:
    """Do one process's part of an evaluation; see ``evaluate``."""
    quiet_lightning()
    cfg = OmegaConf.create(job.config)
    planned = combinations(cfg)
    if len(planned) == 1:
        return _one(cfg, planned[0])
    return _many(job, cfg, planned)


def _one(cfg: DictConfig, combination: Combination) -> float:
    alone = combination.applied(cfg)
    checkpoint = _open(combination, cfg.attention)
    bars = Bars(make_console(stderr=True), 1)
    with bars.shown():
        scored = score(
            alone,
            checkpoint,
            output_folder(alone, combination.checkpoint),
            name=combination.name,
            callbacks=[bars.images()],
        )
    scored.show(make_console(), checkpoint)
    return scored.first_score()


def _many(job: Job, cfg: DictConfig, planned: Sequence[Combination]) -> float:
    console = make_console()
    folder = Path(job.folder)
    outcomes: list[Outcome] = []
    held: tuple[str | None, Checkpoint | None] = (None, None)
    bars = Bars(make_console(stderr=True), len(planned))
    with bars.shown():
        for combination in planned:
            bars.begin(str(combination))
            outcome: Scored | ExemplarError
            try:
                if held[0] != combination.checkpoint:
                    held = (combination.checkpoint, _open(combination, cfg.attention))
                outcome = score(
                    combination.applied(cfg),
                    held[1],
                    folder.joinpath(*combination.varied),
                    name=combination.name,
                    callbacks=[bars.images()],
                )
            except (ExemplarError, HydraException, RuntimeError, OSError, ValueError) as error:
                if job.processes > 1:
                    raise  # the others wait for this process within the same combination
                outcome = as_user_error(error) or ExemplarError(f"{type(error).__name__}: {error}")
            outcomes.append(Outcome(combination, outcome))
    rank_zero_only(write_summary)(folder, outcomes)
    console.print(summary_table(outcomes))
    console.print(f"Written     {folder}")
    refuse_failures(outcomes, folder)
    return outcomes[0].score()


def _open(combination: Combination, attention: str | None) -> Checkpoint | None:
    source = combination.checkpoint
    return None if source is None else with_attention(open_checkpoint(source), attention)


def _common_folder(cfg: DictConfig, planned: Sequence[Combination]) -> Path:
    """Return the folder of all: beside the one checkpoint, or outputs/evaluate/… of several."""
    if len({combination.checkpoint for combination in planned}) == 1:
        return output_folder(planned[0].applied(cfg), planned[0].checkpoint)
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    return from_root(str(cfg.paths.output_root)) / "evaluate" / stamp
