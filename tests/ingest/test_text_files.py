"""CSV and similar text: encodings, separators, size, damage."""

import hashlib
import os
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ingest.reader import read_file
from app.ingest.rows import FileProblem, FileRow
from app.runtime.limits import CSV_RECORD_MAX_CHARS
from tests.ingest.files import CODE, SHOP, TRADE, codes, read, read_rows, table, write_csv

ROW = f"210802,{CODE},营口某某商贸有限公司,5211,5,4\n"
HEADER = ",".join(TRADE) + "\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16"])
def test_a_file_is_read_in_the_encodings_that_occur(tmp_path: Path, encoding: str) -> None:
    (row,) = read_rows(write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4]), encoding=encoding))
    assert row.data["name"] == "营口某某商贸有限公司"
    assert row.cells["region_code"].heading == "处理地编码"


def test_a_rare_character_of_gb18030_beyond_gbk_is_read(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv", table([SHOP[0], CODE, "𫚖鱼餐饮㐂", "5211", 5, 4]), encoding="gb18030"
    )
    assert read_rows(path)[0].data["name"] == "𫚖鱼餐饮㐂"


def test_a_file_that_is_sound_text_only_at_its_start_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lone_surrogate = b"\x00\xd8"
    path.write_bytes((HEADER + ROW * 5000).encode("utf-16") + lone_surrogate)
    rows, problems = read(path)
    assert rows == []
    assert codes(problems) == ["file-unreadable"]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_the_separator_is_seen_from_the_header(tmp_path: Path, delimiter: str) -> None:
    rows = [["营口市,2024年3月"], *table([*SHOP, 5, 4])]
    (row,) = read_rows(write_csv(tmp_path / "a.csv", rows, delimiter=delimiter))
    assert row.data["figures"]["retail_sales"] == {"current": "5", "prior_year": "4"}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((HEADER + ROW).replace("\n", ending).encode("gb18030"))
    assert [row.row for row in read_rows(path)] == [2]


def test_a_table_of_text_that_is_called_a_workbook_is_read_for_what_it_is(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.xls", table([*SHOP, 5, 4]), encoding="gb18030", delimiter="\t")
    assert read_rows(path)[0].data["uscc"] == CODE


def test_a_line_break_inside_a_cell_does_not_move_the_numbers_of_rows(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", table(["210802", CODE, "营口\n某某", "5211", 5, 4], [*SHOP, 5, 4]))
    assert [(row.row, row.data["name"]) for row in read_rows(path)] == [
        (2, "营口某某"),
        (3, "营口某某商贸有限公司"),
    ]


def test_a_quotation_mark_that_is_not_doubled_is_reported_and_does_not_change_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'{HEADER}210802,{CODE},"好又多"商贸,5211,5,4\n{ROW}', encoding="utf-8")
    rows, (problem,) = read(path)
    assert [row.row for row in rows] == [3]
    assert (problem.code, problem.row) == ("line-unreadable", 2)


def test_a_quotation_mark_that_is_never_closed_does_not_swallow_rows_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'{HEADER}210802,{CODE},"好又多,5211,5,4\n{ROW * 3}', encoding="utf-8")
    rows, problems = read(path)
    assert rows == []
    assert codes(problems) == ["line-unreadable"]


@pytest.mark.parametrize("line", ["x" * (CSV_RECORD_MAX_CHARS + 10), '"x\n",' * (CSV_RECORD_MAX_CHARS // 4)])
def test_a_record_without_end_is_not_read_into_memory(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + ROW + line, encoding="utf-8")
    rows, problems = read(path)
    assert [row.row for row in rows] == [2]
    assert codes(problems) == ["line-unreadable"]


@pytest.mark.slow
def test_fifty_thousand_rows_are_read_as_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + ROW * 50_000, encoding="gb18030")
    source = read_file(path, unit="qianyuan", period="2024-03")
    rows = source.rows()
    assert [row.row for row in islice(rows, 2) if isinstance(row, FileRow)] == [2, 3]
    tracemalloc.start()
    try:
        assert sum(1 for _ in rows) == 49_998
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < path.stat().st_size / 2


def test_the_rows_can_be_read_again(tmp_path: Path) -> None:
    source = read_file(write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4])), unit="qianyuan", period="2024-03")
    assert list(source.rows()) == list(source.rows())


def test_the_fingerprint_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "2024年3月.csv"
    path.write_text(HEADER + ROW * 50_000, encoding="gb18030")
    source = read_file(path, unit="qianyuan", period=None)
    assert source.name == "2024年3月.csv"
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("added", [ROW.encode(), b"\xff"])
def test_a_file_that_changes_after_its_fingerprint_was_taken_is_a_problem(
    tmp_path: Path, added: bytes
) -> None:
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4]))
    source = read_file(path, unit="qianyuan", period="2024-03")
    with path.open("ab") as file:
        file.write(added)
    assert [item.code for item in source.rows() if isinstance(item, FileProblem)] == ["file-changed"]


def test_a_file_that_goes_away_is_a_problem(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4]))
    source = read_file(path, unit="qianyuan", period="2024-03")
    path.unlink()
    assert [item.code for item in source.rows() if isinstance(item, FileProblem)] == ["file-unreadable"]


@pytest.mark.parametrize("name", ["没有.csv", "."])
def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path, name: str) -> None:
    source = read_file(tmp_path / name, unit="qianyuan", period="2024-03")
    assert source.sha256 is None
    assert [item.code for item in source.rows() if isinstance(item, FileProblem)] == ["file-unreadable"]


@pytest.mark.parametrize("content", ["", "\n\n", HEADER, f"{HEADER},,,,,\n"])
def test_a_file_without_rows_is_a_problem(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8")
    _, problems = read(path)
    assert codes(problems) == ["file-empty"]


def test_a_web_page_is_recognised_as_one(tmp_path: Path) -> None:
    path = tmp_path / "a.xls"
    path.write_text("\n<html><table><tr><td>统一社会信用代码</td></tr></table></html>", encoding="gb18030")
    _, (problem,) = read(path)
    assert problem.code == "file-unreadable"
    assert "网页" in problem.message


def test_the_problem_of_text_without_a_table_describes_a_table(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("说明\n请参见附件\n", encoding="utf-8")
    _, (problem,) = read(path)
    assert problem.code == "header-missing"
    assert "统一社会信用代码" in problem.message


def test_a_name_that_is_not_valid_text_can_be_shown(tmp_path: Path) -> None:
    path = write_csv(tmp_path / os.fsdecode(b"\xff2024-03.csv"), table([*SHOP, 5, 4]))
    source = read_file(path, unit="qianyuan", period=None)
    assert source.name == "\ufffd2024-03.csv"
    assert [row.data["period"] for row in source.rows() if isinstance(row, FileRow)] == ["2024-03"]


def test_a_unit_must_be_one_of_the_codes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="千元"):
        read_file(tmp_path / "a.csv", unit="千元", period=None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=400))
def test_no_bytes_raise_an_exception(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    rows, problems = read(path)
    assert rows == []
    assert problems


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(below=st.text(), encoding=st.sampled_from(["utf-8", "gb18030"]))
def test_no_text_below_a_header_raises_an_exception(tmp_path: Path, below: str, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((HEADER + below).encode(encoding, "ignore"))
    rows, problems = read(path)
    assert rows or problems
    assert all(row.data["form"] == "E204-1" for row in rows)
