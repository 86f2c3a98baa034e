"""Reads the sheets of one file, one after the other."""

from collections.abc import Iterator
from itertools import chain

from app.ingest.header import Record, header_among, is_header
from app.ingest.layout import read_layout
from app.ingest.request import ReadRequest
from app.ingest.rows import FileProblem, FileRow
from app.ingest.table import Table
from app.ingest.text import cleaned
from app.runtime.limits import HEADER_SEARCH_ROWS

Records = Iterator[Record | FileProblem]


class SheetReader:
    """Reads the sheets of one file.

    A sheet without a header is skipped if it is empty, or if another sheet has a header and no row of
    this one has two known headings: such sheets are notes. A row with two known headings but without
    that of the code is a header that lacks it, which is a problem.

    Attributes:
        ignored: The headings that the ledger does not know, in the order of the file.
    """

    def __init__(self, request: ReadRequest) -> None:
        self._request = request
        self._without_table: list[str] = []
        self._tables = 0
        self._given = 0
        self.ignored: dict[str, None] = {}

    def read(
        self, sheet: str, records: Records, *, separated: bool = False
    ) -> Iterator[FileRow | FileProblem]:
        """The rows and problems of one sheet; `separated` as in `Table`."""
        for given in self._read(sheet, records, separated=separated):
            self._given += 1
            yield given

    def pass_on(self, problem: FileProblem) -> FileProblem:
        """Count a problem that was found outside of the sheets, and return it."""
        self._given += 1
        return problem

    def end(self) -> Iterator[FileProblem]:
        """The problems that are known only after the last sheet."""
        if not self._tables:
            for sheet in self._without_table:
                yield FileProblem.of_sheet(sheet, "header-missing", _NO_HEADER)
        if not self._given and (self._tables or not self._without_table):
            yield FileProblem.of_file("file-empty", "文件中没有数据行。请核对是否选错了文件。")

    def _read(self, sheet: str, records: Records, *, separated: bool) -> Iterator[FileRow | FileProblem]:
        top: list[Record] = []
        yield from _fill(top, records)
        header = header_among(sheet, top)
        if header is None:
            yield from self._note(sheet, top, records)
            return
        self._tables += 1
        layout = read_layout(header, self._request)
        self.ignored |= dict.fromkeys(layout.ignored)
        yield from layout.problems
        if not layout.problems:
            below = (record for record in top if record[0] > header.row)
            yield from Table(layout, self._request, separated=separated).read(chain(below, records))

    def _note(self, sheet: str, top: list[Record], records: Records) -> Iterator[FileProblem]:
        """Remember a sheet that has text but no table."""
        texts = chain(top, (record for record in records if not isinstance(record, FileProblem)))
        if any(cleaned(text) for _, row in texts for text in row):
            self._without_table.append(sheet)
        return iter(())


def _fill(top: list[Record], records: Records) -> Iterator[FileProblem]:
    """Take records up to the header, or the rows in which a header is searched; yield problems."""
    for record in records:
        if isinstance(record, FileProblem):
            yield record
            continue
        top.append(record)
        if record[0] >= HEADER_SEARCH_ROWS or is_header(record[1]):
            return


_NO_HEADER = (
    f"前{HEADER_SEARCH_ROWS}行中找不到表头。表头须有“统一社会信用代码”“单位详细名称”“处理地编码”“行业代码”"
    "和“零售额;本年-本月”等列，请用直报平台导出的表。"
)
