"""What pyproject.toml cannot say: files that lie beside src/ in a checkout, in it in a wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = (
    "conf/**/*.yaml",
    "experiments/published/rows.yaml",
    "experiments/zoo/*/model.safetensors",
)
LOCAL = Path("conf/local")
"""What one machine has of its own; git ignores it."""


class BuildWithConf(build_py):
    """Copies ``SHIPPED`` into the package; src/core/paths.py finds it there."""

    def run(self) -> None:
        """Build from nothing, so that what was deleted in src/ is not in the wheel."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            for file in (file for pattern in SHIPPED for file in sorted(Path().glob(pattern))):
                if LOCAL not in file.parents:
                    copy = Path(self.build_lib, "src", file)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, copy)


setup(cmdclass={"build_py": BuildWithConf})
