"""Command lines that must be refused, and what the message must say.

``python -m tools.refusals`` prints them with the whole message, as a Markdown table.
"""

import sys
from dataclasses import dataclass

from src.app.config.check import Request
from src.app.config.options import register_resolvers
from src.core.errors import ConfigError
from tests.support.compose import check

CHECKPOINT = "checkpoint=some/run"


@dataclass(frozen=True)
class Refusal:
    """One bad command line."""

    command: str  # ``train``, ``evaluate`` or ``predict``
    overrides: tuple[str, ...]  # what is typed
    says: tuple[str, ...]  # fragments that the message must hold
    multirun: bool = False  # whether ``-m`` is typed too

    @property
    def typed(self) -> str:
        """The command line after ``python``."""
        flag = "-m " if self.multirun else ""
        return f"-m src.{self.command} {flag}{' '.join(self.overrides)}"

    def message(self) -> str:
        """Return the message, or "" where the command line is accepted."""
        register_resolvers(claim=False)
        try:
            check(Request(self.command, self.overrides, multirun=self.multirun))
        except ConfigError as error:
            return str(error)
        return ""


def _train(*overrides: str, says: tuple[str, ...], multirun: bool = False) -> Refusal:
    return Refusal("train", overrides, says, multirun)


NAMES = [
    _train("lrr=1", says=("lrr", "optimizer.lr")),
    _train("optimizer.lrr=1", says=("optimizer.lrr", "Did you mean lr?")),
    _train("trainer.max_step=3", says=("max_step", "max_steps")),
    _train("mdel.channels=3", says=("mdel", "Did you mean model")),
    _train("tsak=denoise", says=("tsak", "Did you mean task")),
    _train("modle=panet", says=("modle", "Did you mean model")),
    _train("model=panett", says=("panett", "Did you mean panet")),
    _train("model/attention=pyramyd", says=("pyramyd", "Did you mean pyramid")),
    _train("model/atention=pyramid", says=("model/atention", "model/attention")),
    _train("data=_base_", says=("_base_", "folder", "sample_photos")),
    _train("experiment=dmeo", says=("dmeo", "experiment")),
    _train("debug=smok", says=("smok", "Did you mean smoke?")),
    _train("hydra.run.dri=x", says=("hydra.run.dri", "Did you mean dir?")),
    _train("+typo=1", says=("Nothing reads the key 'typo'",)),
    _train("++seeed=1", says=("seeed", "Did you mean seed")),
    _train("+inference.tille=64", says=("inference.tille", "Did you mean tile?")),
    _train("+paths.cash_dir=x", says=("paths.cash_dir", "Did you mean cache_dir")),
    _train("+seed=1", says=("seed", "already")),
    _train("~seed", says=("'seed' was removed",)),
    _train("~sede", says=("sede", "Did you mean seed")),
    _train("~optimizer", says=("optimizer=<adam | adamw>",)),
    _train("loss=null", says=("loss=<adversarial | charbonnier | l1 | l2 | psnr | sum>",)),
    _train("denoise", says=("'denoise'", "key=value")),
    _train("seed", "=", "3", says=("key=value", "no spaces")),
    _train("weights={a", says=("weights={a", "Quote")),
    _train("optimizer.lr=1e-4,3e-4", says=("several values", "-m")),
    _train("hparams_search=attention", says=("add -m",)),
    _train("model=panet,panett", says=("panett", "Did you mean panet"), multirun=True),
    _train("trainer=ddp_cp", says=("ddp_cp", "Did you mean ddp_cpu")),
    _train("hydra/launcher=slrm", "seed=0,1", says=("slrm", "slurm"), multirun=True),
    _train(
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trial=3",
        says=("n_trial", "Did you mean n_trials"),
        multirun=True,
    ),
    _train(
        "hydra/sweeper=optuna",
        "optimizer.lrr=interval(1e-4,1e-3)",
        says=("optimizer.lrr", "Did you mean lr?"),
        multirun=True,
    ),
    _train("resume=no/such/run", says=("no/such/run", "no such run folder")),
    Refusal("prepare", ("dataset=sett5",), ("sett5", "Did you mean set5")),
    Refusal("dashboard", ("porject=x",), ("porject", "Did you mean project")),
    Refusal("prepare", ("dataset=[set5,sett14]",), ("sett14", "Did you mean set14")),
    Refusal("prepare", ("dataset=set5", "sourc=x"), ("sourc=x", "Did you mean source")),
    Refusal(
        "prepare", ("dataset=set5", "limits.ration=3"), ("limits.ration", "Did you mean ratio")
    ),
    Refusal("evaluate", (), ("checkpoint", "For example: checkpoint=outputs")),
    Refusal("predict", (CHECKPOINT,), ("input=…", "For example: input=photos")),
]
"""Refused before any component is imported."""

VALUES = [
    _train("seed=abc", says=("seed=abc", "must be int")),
    _train("seed=true", says=("seed=true", "must be int")),
    _train("channels_last=maybe", says=("channels_last=maybe", "must be bool")),
    _train("compile=maybe", says=("compile=maybe", "must be bool")),
    _train("inference.tile=big", says=("inference.tile=big", "int | auto | as_trained | null")),
    _train("weights='${nowhere}'", says=("weights", "nowhere")),
    Refusal("evaluate", (CHECKPOINT, "sigma=strong"), ("sigma=strong", "float", "null")),
    Refusal("evaluate", (CHECKPOINT, "quality=[10,2.5]"), ("quality=[10, 2.5]", "int")),
    Refusal("evaluate", (CHECKPOINT, "sets=3"), ("sets=3", "str")),
    Refusal("evaluate", (CHECKPOINT, "set=set5"), ("'set'", "Did you mean", "sets")),
    Refusal("report", ("compare=a.json",), ("compare=a.json", "Sequence[str]")),
    Refusal("report", ("result=a",), ("'result'", "results")),
    Refusal("report", ("crop=big",), ("crop=big", "must be int")),
    Refusal(
        "predict",
        (CHECKPOINT, "input=a", "output=b", "on_error=sikp"),
        ("on_error=sikp", "raise | skip"),
    ),
    Refusal("predict", ("input=a",), ("checkpoint=…", "zoo/denoise")),
    Refusal("predict", (CHECKPOINT, "input={a: b}"), ("input={'a': 'b'}", "not possible")),
    Refusal("export", (CHECKPOINT, "output=a.pt2", "size=large"), ("size=large", "any")),
    Refusal("export", (CHECKPOINT, "output=a.pt2", "check=48"), ("check=48", "Sequence")),
    Refusal("prepare", ("dataset=set5", "verify=maybe"), ("verify=maybe", "must be bool")),
    Refusal("dashboard", ("dry_run=maybe",), ("dry_run=maybe", "must be bool")),
    Refusal("prepare", ("dataset=set5", "timeout=long"), ("timeout=long", "must be float")),
]
"""Refused by the type of a value at the root, still without importing a component."""

TARGETS = [
    Refusal("prepare", ("dataset=set5", "+dataset.set5.cont=3"), ("takes no 'cont'", "count")),
    _train("+model.widht=3", says=("model.widht", "takes no 'widht'", "channels")),
    _train("+optimizer.weight_deca=0", says=("weight_deca", "Did you mean weight_decay")),
    _train("+model.attention.level=3", says=("model.attention.level", "Did you mean levels")),
    _train("+data.batchsize=3", says=("data.batchsize", "Did you mean batch_size")),
    _train("+trainer.max_step=3", says=("trainer.max_step", "Did you mean max_steps")),
    _train("data.progressive=3", says=("data.progressive=3", "Sequence")),
    _train("data.cache_limit_gb=many", says=("data.cache_limit_gb=many", "float")),
    _train("data.batch_size=2.5", says=("data.batch_size=2.5", "takes int")),
    _train("optimizer.lr=fast", says=("optimizer.lr=fast", "float")),
    _train("optimizer.betas=[0.9]", says=("optimizer.betas", "tuple")),
    _train("model.channels=many", says=("model.channels=many", "takes int")),
    _train("model.shared_activation=3", says=("model.shared_activation=3", "takes bool")),
    _train("degradation.sigma=25", says=("degradation.sigma=25", "Sequence[float]")),
    _train("trainer.precision=17", says=("trainer.precision=17", "bf16-mixed")),
    _train("protocol.channels=rgbb", says=("protocol.channels=rgbb", "rgb | y")),
    _train("model._target_=src.models.panett.PANet", says=("src.models.panett", "has no")),
    _train("loss._target_=torch.nn.L1Los", says=("torch.nn.L1Los", "Did you mean L1Loss")),
    _train("loss._target_=nowhere.Loss", says=("no package 'nowhere'",)),
    _train("+model._partail_=true", says=("_partail_", "Did you mean _partial_")),
    _train("+callbacks.ema=3", says=("callbacks.ema", "_target_")),
    _train("~protocol.name", says=("protocol.name is not given",)),
    _train("seed=1,x", says=("seed=x", "must be int"), multirun=True),
]
"""Refused by the signature of what a ``_target_`` names."""

ALL = [*NAMES, *VALUES, *TARGETS]


def main() -> None:
    """Print the table."""
    lines = ["| command | message |", "|---|---|"]
    for refusal in ALL:
        message = refusal.message().replace("|", "\\|").replace("\n", "<br>")
        lines.append(f"| `python {refusal.typed}` | {message} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
