"""``hydra/launcher=ray``; imported at each start of Hydra, so all that is heavy waits for use."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class RayLauncher(Launcher):
    """Run the jobs of a sweep on the machines of a Ray pool; see conf/hydra/launcher/ray.yaml.

    Args:
        settings: The keys of that file.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        self.settings = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra hands over.

        Raises:
            ConfigError: If Ray is not installed.
        """
        from src.core.errors import ConfigError  # noqa: PLC0415

        if find_spec("ray") is None:
            raise ConfigError(
                "hydra/launcher=ray needs the package 'ray', which is not installed: "
                "pip install --constraint constraints.txt '.[ray]'."
            )
        self.config, self.hydra_context = config, hydra_context
        self.task_function = task_function

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run one job for each element of ``job_overrides``; return what came of each."""
        from src.app.sweeps.ray_pool import Pool, Work  # noqa: PLC0415

        if self.config is None or self.hydra_context is None or self.task_function is None:
            raise RuntimeError("Hydra calls setup before launch")
        work = Work(self.config, self.hydra_context, self.task_function)
        numbered = [(initial_job_idx + i, list(words)) for i, words in enumerate(job_overrides)]
        return Pool(**self.settings).run(work, numbered)
