"""Evaluate: score checkpoints, or a model without weights, under a named protocol."""

import logging
from collections.abc import Sequence
from pathlib import Path

from lightning.fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from src.app.inference import with_attention
from src.app.processes.group import carry_out
from src.app.processes.job import Job
from src.app.processes.process import quiet_lightning
from src.app.processes.user_errors import as_user_error, whose_code
from src.commands.evaluate import selfcheck
from src.commands.evaluate.job import score, settle_evaluation
from src.commands.evaluate.plan import Combination, combinations, output_folder
from src.commands.evaluate.record import Scored, show_doubts
from src.commands.evaluate.settings import check_request
from src.commands.evaluate.summary import (
    SPREAD,
    CombinationResult,
    refuse_failures,
    summary_table,
    write_summary,
)
from src.commands.evaluate.watch import Bars
from src.core.console import make_console
from src.core.errors import ExemplarError
from src.weights.checkpoint import Checkpoint, open_checkpoint
from src.weights.conversion import with_published_weights

logger = logging.getLogger(__name__)


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
        check_request(combination.applied(cfg))
    return carry_out(score_all, settle_evaluation(cfg, output_folder(cfg, planned)))


def score_all(job: Job) -> float:
    """Do one process's part of an evaluation; see ``evaluate``."""
    quiet_lightning()
    cfg = OmegaConf.create(job.config)
    planned = combinations(cfg)
    bars = Bars(make_console(stderr=True), len(planned))
    if len(planned) > 1:
        return _many(job, cfg, planned, bars)
    checkpoint = _open(planned[0], cfg.attention)
    with bars.shown():
        scored = score(cfg, planned[0], checkpoint, Path(job.folder), callbacks=[bars.images()])
    scored.show(make_console(), checkpoint)
    return scored.first_score()


def _many(job: Job, cfg: DictConfig, planned: Sequence[Combination], bars: Bars) -> float:
    console = make_console()
    folder = Path(job.folder)
    results: list[CombinationResult] = []
    opened: tuple[str | None, Checkpoint | None] = (None, None)
    with bars.shown():
        for combination in planned:
            bars.begin(str(combination))
            outcome: Scored | ExemplarError
            try:
                if opened[0] != combination.checkpoint:
                    opened = (combination.checkpoint, _open(combination, cfg.attention))
                inside = folder.joinpath(*combination.varied)
                outcome = score(cfg, combination, opened[1], inside, callbacks=[bars.images()])
            except Exception as error:
                known = as_user_error(error)
                if job.processes > 1:
                    raise  # the others wait for this process within the same combination
                if known is None:
                    logger.exception("%s: unexpected", combination)
                    whose = whose_code(error, job.config) or "this program"
                    known = ExemplarError(f"{type(error).__name__}: {error} (raised in {whose})")
                outcome = known
            results.append(CombinationResult(combination, outcome))
    rank_zero_only(write_summary)(folder, results)
    console.print(summary_table(results))
    show_doubts(console, [one.outcome for one in results if isinstance(one.outcome, Scored)])
    console.print(SPREAD)
    console.print(f"Written     {folder}")
    refuse_failures(results, folder)
    return results[0].score()


def _open(combination: Combination, attention: str | None) -> Checkpoint | None:
    source = combination.checkpoint
    return None if source is None else with_attention(open_checkpoint(source), attention)
