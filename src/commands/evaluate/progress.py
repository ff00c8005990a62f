"""Two progress bars of an evaluation: combinations, and the images of the present one."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from src.commands.evaluate.watch import ImageCount


class Bars:
    """Progress on a terminal.

    Args:
        console: Where; a terminal, or nothing is shown before the end.
        combinations: How many there are; the bar of one alone is not shown.
    """

    def __init__(self, console: Console, combinations: int) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._begun = 0
        many = combinations > 1
        self._all = self._progress.add_task("Combinations", total=combinations, visible=many)
        self._images = self._progress.add_task("Scoring", total=None)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bars inside the block."""
        with self._progress:
            yield

    def begin(self, name: str) -> None:
        """Say that the combination ``name`` begins, and that those before it are done."""
        self._progress.update(self._all, completed=self._begun)
        self._progress.reset(self._images, description=name)
        self._begun += 1

    def images(self) -> ImageCount:
        """Return a callback that moves the bar of images."""
        return ImageCount(
            lambda done, total: self._progress.update(self._images, completed=done, total=total)
        )
