"""Where commands print: consoles that fit the terminal, tables that fold and never drop or cut."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

WIDE = 10_000
"""The width of what is no terminal: a file gets one line a row, which grep and diff can use."""

GAP = 2
"""Characters between two columns of a table."""

LEAST_KEY = 8
"""What identifies a row is folded to this width at most."""

LEAST_PROSE = 24
"""A narrower column of prose rather goes into the next piece."""

REMEMBERED_S = 600.0
"""Seconds over which bars average their speed; one operation on a large image may take minutes."""


def make_console(*, stderr: bool = False) -> Console:
    """Return a console as wide as its terminal, or as its content where there is none.

    ``COLUMNS`` sets another width. What is printed is shown as it is: nothing in a path is markup,
    and no line is broken, so that paths and commands can be copied.
    """
    terminal = Console(stderr=stderr).is_terminal or "COLUMNS" in os.environ
    return Console(
        stderr=stderr,
        width=None if terminal else WIDE,
        soft_wrap=True,
        highlight=False,
        markup=False,
        emoji=False,
    )


@dataclass(frozen=True)
class _Row:
    cells: tuple[Text, ...]
    style: str
    ends_section: bool


class FoldingTable:
    """A table that fits any width: what identifies a row stands whole beside all that it says.

    Where the columns do not fit side by side, the table goes on below in further pieces, each of
    which begins with the keys again. Prose folds at words. The remark, which may be a command to
    copy, then follows the table in a line that is not broken.

    Args:
        keys: Headings of the columns that identify a row.
        numbers: Headings of columns of figures, flush right, never folded.
        texts: Headings of columns of prose.
        remark: Heading of the last column, if there is one.
        title: Stands above.
    """

    def __init__(
        self,
        keys: Sequence[str],
        numbers: Sequence[str] = (),
        texts: Sequence[str] = (),
        *,
        remark: str | None = None,
        title: str = "",
    ) -> None:
        self.title = title
        self._headings = [*keys, *numbers, *texts, *([] if remark is None else [remark])]
        self._keys = range(len(keys))
        self._numbers = range(len(keys), len(keys) + len(numbers))
        self._remark = None if remark is None else len(self._headings) - 1
        self._rows: list[_Row] = []

    def add_row(self, *cells: str | Text, style: str = "", ends_section: bool = False) -> None:
        """Append a row; cells that are missing at its end stay empty.

        Raises:
            ValueError: If there are more cells than columns.
        """
        missing = len(self._headings) - len(cells)
        if missing < 0:
            raise ValueError(f"{len(cells)} cells for the columns {self._headings}")
        texts = [cell if isinstance(cell, Text) else Text(cell) for cell in cells]
        self._rows.append(_Row((*texts, *[Text()] * missing), style, ends_section))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the title, the pieces, and the remarks where they have found no room."""
        if self.title:
            yield Text(self.title, style="bold")
        pieces = self._pieces(options.max_width)
        for index, piece in enumerate(pieces):
            yield from [Text()] if index else []
            yield self._table(piece)
        if self._remark is not None and self._remark not in pieces[-1]:
            yield from self._remarks(self._remark)

    def _pieces(self, room: int) -> list[dict[int, int]]:
        """Return what stands side by side: of each piece, column → width."""
        whole = {column: self._whole(column) for column in range(len(self._headings))}
        if _total(whole.values()) <= room:
            return [whole]
        keys = _shared({key: min(LEAST_KEY, whole[key]) for key in self._keys}, whole, room // 2)
        beside = max(LEAST_PROSE, room - _total(keys.values()) - GAP)
        pieces = [dict(keys)]
        for column in range(len(keys), len(whole)):
            width = min(self._least(column), beside)
            full = _total([*pieces[-1].values(), width]) > room
            if column == self._remark:
                if full or width < whole[column]:
                    continue
            elif full and len(pieces[-1]) > len(keys):
                pieces.append(dict(keys))
            pieces[-1][column] = width
        limits = {c: whole[c] if self._is_prose(c) else 0 for c in whole}
        return [_shared(piece, limits, room) for piece in pieces]

    def _is_prose(self, column: int) -> bool:
        return not (column in self._keys or column in self._numbers or column == self._remark)

    def _whole(self, column: int) -> int:
        """Return the width at which nothing in a column folds."""
        return max(cell_len(self._headings[column]), self._widest(column, str.splitlines))

    def _least(self, column: int) -> int:
        """Return the width below which a column rather goes into the next piece."""
        words = max(map(cell_len, self._headings[column].split()), default=0)
        if column in self._numbers:
            return max(words, self._widest(column, str.splitlines))
        if self._is_prose(column):
            wanted = min(self._whole(column), LEAST_PROSE)
            return max(words, wanted, self._widest(column, str.split))
        return self._whole(column)

    def _widest(self, column: int, parts: Callable[[str], list[str]]) -> int:
        """Return the length of the longest part, a line or a word, of a column's cells."""
        found = (part for row in self._rows for part in parts(row.cells[column].plain))
        return max(map(cell_len, found), default=0)

    def _table(self, piece: dict[int, int]) -> Table:
        table = Table(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
            width=_total(piece.values()),  # rich would drop columns where it has too little
        )
        for column, width in piece.items():
            right = column in self._numbers
            table.add_column(
                Text(self._headings[column]),
                justify="right" if right else "left",
                overflow="fold",
                width=width,
            )
        for row in self._rows:
            cells = [row.cells[column] for column in piece]
            table.add_row(*cells, style=row.style, end_section=row.ends_section)
        return table

    def _remarks(self, column: int) -> Iterator[Text]:
        """Yield the remarks, each after the keys of its row, in lines that are not broken."""
        yield from [Text(f"{self._headings[column]}:")] if self._headings[column] else []
        for row in self._rows:
            if row.cells[column].plain:
                name = " ".join(row.cells[key].plain for key in self._keys if row.cells[key].plain)
                yield Text.assemble(f"  {name}: ", row.cells[column])


def _total(widths: Iterable[int]) -> int:
    """Return the width of columns side by side."""
    listed = list(widths)
    return sum(listed) + GAP * max(0, len(listed) - 1)


def _shared(least: Mapping[int, int], most: Mapping[int, int], room: int) -> dict[int, int]:
    """Return the widths of columns that share ``room``: from ``least`` up to ``most``.

    All that are not at an end of theirs are equally wide.
    """
    limit = max((most[column] for column in least), default=0)
    while True:
        widths = {column: max(low, min(most[column], limit)) for column, low in least.items()}
        if limit <= 0 or _total(widths.values()) <= room:
            return widths
        limit -= 1
