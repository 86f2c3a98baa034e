"""Tables on the terminal, which are never truncated: if a table is too wide, its rows become lines."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from rich import box
from rich.cells import cell_len
from rich.table import Column as RichColumn
from rich.table import Table

from app.cli.terminal import Terminal
from app.runtime.escaping import escaped

GAP: Final = 2
"""The space between two columns, and between two values on a line, in cells."""

HEADING_LEAST: Final = 8
"""A heading longer than this may wrap."""

TEXT_LEAST: Final = 16
"""A text longer than this may wrap: a name is still readable with eight characters on a line."""

Kind = Literal["text", "code", "figure"]


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        heading: The heading.
        kind: A text may wrap; a code and a figure, which is right-aligned, may not.
    """

    heading: str
    kind: Kind = "code"


class _Layout(NamedTuple):
    """The columns of a table, with the least and the greatest width in cells that each can use."""

    columns: Sequence[Column]
    least: Sequence[int]
    most: Sequence[int]

    def width(self, widths: Iterable[int]) -> int:
        return sum(widths) + GAP * (len(self.columns) - 1)


def print_table(console: Terminal, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table at its full width, with wrapped texts if it does not fit, or else as lines."""
    shown = [[escaped(value) for value in row] for row in rows]
    layout = _layout(columns, shown)
    if layout.width(layout.least) <= console.width:
        console.print(_table(layout, _widths(layout, console.width), shown), soft_wrap=False)
        return
    for row in shown:
        for line in _lines(columns, row, console.width):
            console.print(line)


def _layout(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> _Layout:
    least, most = [], []
    for n, column in enumerate(columns):
        heading, values = cell_len(column.heading), max((cell_len(row[n]) for row in rows), default=0)
        unbroken = min(values, TEXT_LEAST) if column.kind == "text" else values
        least.append(max(min(heading, HEADING_LEAST), unbroken))
        most.append(max(heading, values))
    return _Layout(columns, least, most)


def _widths(layout: _Layout, available: int) -> list[int]:
    """The width of each column: if not all fit at full width, the text columns share the remaining space."""
    if layout.width(layout.most) <= available:
        return list(layout.most)
    widths = list(layout.least)
    spare = available - layout.width(widths)
    texts = [n for n, column in enumerate(layout.columns) if column.kind == "text"]
    while spare and (short := [n for n in texts if widths[n] < layout.most[n]]):
        for n in short[:spare]:
            widths[n] += 1
        spare -= len(short[:spare])
    return widths


def _table(layout: _Layout, widths: Sequence[int], rows: Iterable[Sequence[str]]) -> Table:
    columns = (
        RichColumn(
            column.heading,
            width=width,
            justify="right" if column.kind == "figure" else "left",
            vertical="top",
            overflow="fold",
        )
        for column, width in zip(layout.columns, widths, strict=True)
    )
    table = Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
    for row in rows:
        table.add_row(*row)
    return table


def _lines(columns: Sequence[Column], row: Sequence[str], width: int) -> Iterator[str]:
    """A row as items `heading：value`, as many on a line as fit; empty values are left out."""
    line = ""
    for column, value in zip(columns, row, strict=True):
        if not value:
            continue
        item = f"{column.heading}：{value}"
        longer = f"{line}{' ' * GAP}{item}" if line else item
        if line and cell_len(longer) > width:
            yield line
            longer = f"{' ' * GAP}{item}"
        line = longer
    if line:
        yield line
