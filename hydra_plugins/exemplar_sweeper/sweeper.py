"""``hydra/sweeper=optuna``; imported at each start of Hydra, so all that is heavy waits for use."""

from importlib.util import find_spec
from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Let Optuna choose the values of the jobs; see conf/hydra/sweeper/optuna.yaml.

    Args:
        params: Key → what it may be, in Hydra's sweep syntax, beside those on the command line.
        settings: The other keys of conf/hydra/sweeper/optuna.yaml.
    """

    def __init__(self, params: dict[str, str] | None = None, **settings: Any) -> None:  # noqa: ANN401
        self.params, self.settings = dict(params or {}), settings
        self.launcher: Launcher | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra hands over, and make the launcher.

        Raises:
            ConfigError: If Optuna is not installed.
        """
        from hydra.core.plugins import Plugins  # noqa: PLC0415

        from src.core.errors import ConfigError  # noqa: PLC0415

        if find_spec("optuna") is None:
            raise ConfigError(
                "hydra/sweeper=optuna needs the package 'optuna', which is not installed: "
                "pip install --constraint constraints.txt '.[sweep]', or leave it out for a grid."
            )
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials."""
        from src.app.sweeps.trials import Search  # noqa: PLC0415

        given = [f"{key}={value}" for key, value in self.params.items()]
        if self.config is None or self.hydra_context is None or self.launcher is None:
            raise RuntimeError("Hydra calls setup before sweep")
        search = Search(self.config, self.hydra_context, **self.settings)
        search.run([*given, *arguments], self.launcher)
