"""The whole file is checked before its first row is recorded."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from app.ledger.ledger import Ledger
from app.use_cases.filing import importing
from app.use_cases.filing.deciding import Refused
from domain.events import Stage
from tests.cli.test_commands import E204_1, Desk
from tests.databases import Database
from tests.importing.files import import_, one_month
from tests.ingest.files import TRADE, write_xlsx
from tests.ledger.history import Row, code, file, log, trade

ENTERPRISES = 130
LAST = ENTERPRISES - 1
Found = list[tuple[int, str]]


def _invalid_last_row(rows: list[Row]) -> Found:
    rows[LAST] |= {"industry_code": "retail"}
    return [(LAST, "field-invalid")]


def _last_row_twice(rows: list[Row]) -> Found:
    rows[LAST] |= {"uscc": rows[3]["uscc"]}
    return [(LAST, "duplicate-row")]


def _correction_without_reason(rows: list[Row]) -> Found:
    rows[LAST] |= {"uscc": code(1_001)}
    return [(LAST, "revision-needs-reason")]


def _preliminary_after_final(rows: list[Row]) -> Found:
    rows[LAST] |= {"uscc": code(1_001)}
    return [(LAST, "stage-regresses")]


def _everything(rows: list[Row]) -> Found:
    rows[0] |= {"period": "2024-13"}
    rows[41] |= {"uscc": rows[40]["uscc"]}
    rows[65] |= {"uscc": rows[3]["uscc"], "industry_code": "retail"}
    rows[LAST - 1] |= {"uscc": rows[3]["uscc"]}
    return [
        (0, "period-invalid"),
        (41, "duplicate-row"),
        (65, "field-invalid"),
        (LAST - 1, "duplicate-row"),
        *_correction_without_reason(rows),
    ]


def _refused(ledger: Ledger, rows: list[Row], stage: Stage = "final") -> Refused:
    before = log(ledger)
    refused = import_(ledger, rows, stage)
    assert isinstance(refused, Refused)
    assert log(ledger) == before
    return refused


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    ("spoil", "stage"),
    [
        (_invalid_last_row, "final"),
        (_last_row_twice, "final"),
        (_correction_without_reason, "final"),
        (_preliminary_after_final, "preliminary"),
    ],
)
def test_one_problem_in_the_last_chunk_keeps_the_whole_file_out(
    ledger: Ledger, spoil: Callable[[list[Row]], Found], stage: Stage
) -> None:
    file(ledger, trade(code(1_001), "2024-03", 1_000, 1_000))
    rows = one_month(ENTERPRISES)
    expected = spoil(rows)
    assert [(problem.row, problem.code) for problem in _refused(ledger, rows, stage).problems] == expected


@pytest.mark.usefixtures("one_worker")
def test_every_problem_is_found_alike_in_one_chunk_and_in_many_alone_and_with_workers(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    file(ledger, trade(code(1_001), "2024-03", 1_000, 1_000))
    rows = one_month(ENTERPRISES)
    expected = _everything(rows)
    with_workers = _refused(ledger, rows)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    alone = _refused(ledger, rows)
    monkeypatch.setattr(importing, "ROWS_PER_CHUNK", len(rows))
    whole = _refused(ledger, rows)
    assert sorted((problem.row, problem.code) for problem in with_workers.problems) == sorted(expected)
    assert with_workers == alone
    assert sorted(map(repr, whole.problems)) == sorted(map(repr, alone.problems))


@pytest.mark.usefixtures("small_chunks")
def test_a_file_that_cannot_be_read_to_its_end_is_not_recorded(ledger: Ledger) -> None:
    refused = import_(ledger, one_month(ENTERPRISES), in_order=lambda: False)
    assert refused == Refused([])
    assert log(ledger) == []


@pytest.fixture
def desk(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", database.url)
    return Desk(tmp_path)


def _line(n: int, current: str = "110000") -> list[str]:
    return ["210802", code(n), f"示例{n}", "5211", "", "", current, "100000", "", ""]


@pytest.mark.usefixtures("one_worker")
def test_the_command_names_every_problem_with_its_row_and_the_line_that_cannot_be_read(
    desk: Desk, ledger: Ledger
) -> None:
    lines = [_line(n) for n in range(1, ENTERPRISES)]
    lines[0], lines[50] = _line(1, "1O0"), _line(7)
    path = desk.folder / "2024年3月.csv"
    with path.open("w", encoding="utf-8", newline="") as written:
        csv.writer(written).writerows([E204_1, *lines])
        written.write(f'210802,{code(500)},"示例"店,5211,,,1,1,,\r\n')
    problems = desk.folder / "问题.xlsx"
    answer = desk.run("import", path, "--unit", "千元", "--json", "--problems", problems, code=1)
    for text in ("第2行", "第52行", "第131行", "与第8行重复", "2024年3月.csv"):
        assert text in answer.stderr
    (answered,) = msgspec.json.decode(answer.stdout)
    found = {(line["row"], line["code"]) for line in answered["lines"]}
    assert found == {(2, "amount-invalid"), (52, "duplicate-row"), (131, "line-unreadable")}
    assert problems.exists()
    assert log(ledger) == []


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(("stage", "second"), [("final", 110_000), ("preliminary", 120_000)])
def test_the_same_return_in_the_same_row_of_two_sheets_is_a_duplicate(
    desk: Desk, ledger: Ledger, stage: str, second: int
) -> None:
    sheets = {
        name: [TRADE, ["210802", code(1), "示例", "5211", str(current), "100000"]]
        for name, current in (("甲", 110_000), ("乙", second))
    }
    path = write_xlsx(desk.folder / "2024年3月.xlsx", sheets)
    refused = desk.run("import", path, "--unit", "千元", "--stage", stage, code=1)
    assert "duplicate-row" in refused.output
    assert log(ledger) == []
