"""The grid, ``optuna`` and ``cells``; imported at each start, so heavy imports wait for use."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(BasicSweeper):
    """Hydra's grid, but a key that only some options have goes to the jobs that have it."""

    def get_job_batch(self) -> Sequence[Sequence[str]]:
        """Return the words of the next jobs."""
        from src.app.sweeps.plan import fitted_sweep  # noqa: PLC0415

        if self.config is None or self.overrides is None:
            raise RuntimeError("Hydra calls setup before sweep")
        if self.batch_index == 0:
            jobs = [list(words) for batch in self.overrides for words in batch]
            jobs = fitted_sweep(self.config.hydra.job.config_name, jobs)
            self.overrides = list(self.split_overrides_to_chunks(jobs, self.max_batch_size))
        return super().get_job_batch()


class _OwnSweeper(Sweeper):
    """What our sweepers begin with."""

    launcher: Launcher | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra hands over, and make the launcher."""
        from hydra.core.plugins import Plugins  # noqa: PLC0415

        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )


class OptunaSweeper(_OwnSweeper):
    """Let Optuna choose the values of the jobs; see conf/hydra/sweeper/optuna.yaml.

    Args:
        params: Key → what it may be, in Hydra's sweep syntax, beside those on the command line.
        settings: The other keys of conf/hydra/sweeper/optuna.yaml.
    """

    def __init__(self, params: dict[str, str] | None = None, **settings: Any) -> None:  # noqa: ANN401
        self.params, self.settings = dict(params or {}), settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Refuse to begin without Optuna.

        Raises:
            ConfigError: If it is not installed.
        """
        from src.core.errors import ConfigError  # noqa: PLC0415

        if find_spec("optuna") is None:
            raise ConfigError(
                "hydra/sweeper=optuna needs the package 'optuna', which is not installed: "
                "pip install --constraint constraints.txt '.[sweep]', or leave it out for a grid."
            )
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials."""
        from src.app.sweeps.trials import Search  # noqa: PLC0415

        given = [f"{key}={value}" for key, value in self.params.items()]
        if self.config is None or self.hydra_context is None or self.launcher is None:
            raise RuntimeError("Hydra calls setup before sweep")
        search = Search(self.config, self.hydra_context, **self.settings)
        search.run([*given, *arguments], self.launcher)


class CellSweeper(_OwnSweeper):
    """Run the cells of a comparison that are not finished; see conf/hydra/sweeper/cells.yaml.

    Args:
        folder: Of the comparison, absolute.
        only: Patterns of the names of cells that are to be run; none means all.
        taken_from: Folders of comparisons whose finished cells are taken over.
    """

    def __init__(self, folder: str, only: Sequence[str], taken_from: Sequence[str] = ()) -> None:
        self.folder, self.only = Path(folder), only
        self.taken_from = [Path(other) for other in taken_from]

    def sweep(self, arguments: list[str]) -> None:
        """Run the cells, each in its own folder."""
        from src.app.config.typed import is_search_path  # noqa: PLC0415
        from src.app.sweeps.cells import missing_jobs  # noqa: PLC0415
        from src.app.sweeps.plan import checked_jobs  # noqa: PLC0415
        from src.commands.cli.sweep import refuse_unscored  # noqa: PLC0415

        if self.config is None or self.launcher is None:
            raise RuntimeError("Hydra calls setup before sweep")
        command = self.config.hydra.job.config_name
        path = [word for word in self.config.hydra.overrides.hydra if is_search_path(word)]
        jobs = missing_jobs(self.folder, command, arguments, self.only, path, self.taken_from)
        if jobs:
            refuse_unscored(checked_jobs(command, [[*path, *jobs[0]]])[0])
            self.launcher.launch(jobs, initial_job_idx=0)
