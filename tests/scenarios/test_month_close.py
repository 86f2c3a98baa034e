"""Scenario 1 (月结与退回, April 2024): a file sent back, corrected, imported and assessed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from app.cli.files import ImportedFile, ImportOptions, import_file
from app.workbooks.problem_sheet import write_problem_sheet
from tests.databases import on_one_database
from tests.ingest.files import write_csv
from tests.ledger.history import code
from tests.office import Office, TestClock

JIA, YI, BING, DING, WU, JI = (code(n) for n in range(1, 7))
NAMES = {JIA: "甲商贸", YI: "乙餐饮", BING: "丙商贸", DING: "丁商贸", WU: "戊商贸", JI: "己商贸"}
WANYUAN = 1_000_000
HEADINGS = [
    "处理地编码",
    "统一社会信用代码",
    "单位详细名称",
    "[201-1] 行业代码(GB/T4754-2017)",
    "商品销售额;本年-本月",
    "零售额;本年-本月",
    "零售额;上年-本月",
    "零售额;本年-1—本月",
    "零售额;上年-1—本月",
    "营业额;本年-本月",
    "餐费收入;本年-本月",
    "餐费收入;上年-本月",
    "餐费收入;本年-1—本月",
    "餐费收入;上年-1—本月",
]
Line = list[Any]


def trade(uscc: str, current: int, prior: int | str, sales: int | None = None) -> Line:
    """A line of E204-1 in the export, in 千元."""
    before = 3 * prior if isinstance(prior, int) else prior
    figures = [current if sales is None else sales, current, prior, 3 * current, before]
    return ["210802", uscc, f"营口{NAMES.get(uscc, '己商贸')}有限公司", "5211", *figures, "", "", "", "", ""]


def catering(uscc: str, current: int, prior: int) -> Line:
    """A line of S204-1 in the export, in 千元."""
    figures = [current, current, prior, 3 * current, 3 * prior]
    return ["210802", uscc, f"营口{NAMES[uscc]}有限公司", "6210", "", "", "", "", "", *figures]


GOOD: list[Line] = [
    trade(JIA, 123_456, 100_000),
    catering(YI, 5_300, 2_000),
    trade(BING, 107_900, 100_000),
    trade(DING, 110_000, ""),
    trade(WU, 108_001, 100_000),
    trade(JI, 250_000, 100_000),
]
BAD: list[Line] = [
    *GOOD[:2],
    trade(BING, 107_900, 100_000, sales=107_000),
    *GOOD[3:5],
    trade("9.1E+17", 250_000, 100_000),
]


def export(path: Path, lines: Sequence[Line]) -> Path:
    """The platform's export: GB18030 without a mark."""
    return write_csv(path, [HEADINGS, *lines], encoding="gb18030")


def import_march(office: Office, path: Path) -> ImportedFile:
    options = ImportOptions(unit="qianyuan", period="2024-03")
    return import_file(office.ledger, path, options, actor="statistics")


def head(office: Office) -> int:
    items = office.read("/v1/events", limit=1000)["items"]
    return items[-1]["position"] if items else 0


@pytest.fixture
def march(tmp_path: Path) -> Path:
    return export(tmp_path / "2024-03 平台导出.csv", GOOD)


@on_one_database
def test_a_file_with_two_wrong_rows_registers_nothing_and_comes_back_as_a_problem_list(
    office: Office, clock: TestClock, tmp_path: Path
) -> None:
    clock.set("2024-04-12T01:00:00Z")
    imported = import_march(office, export(tmp_path / "2024-03 平台导出.csv", BAD))
    assert imported.answer is None
    assert head(office) == 0
    assert office.get("/v1/entitlements", window="2024H1").json()["items"] == []

    sheet = tmp_path / "审核问题清单.xlsx"
    write_problem_sheet(sheet, imported.problems)
    with CalamineWorkbook.from_path(sheet) as workbook:
        titles, *found = workbook.get_sheet_by_name("审核问题清单").to_python()
    lines: list[dict[Any, Any]] = [dict(zip(titles, values, strict=True)) for values in found]
    places = {(line["行号"], line["列"], line["单元格内容"], line["类别"]) for line in lines}
    assert places == {(4.0, "F", "107900", "审核错误"), (7.0, "B", "9.1E+17", "审核错误")}
    part, uscc = sorted(lines, key=lambda line: line["行号"])
    assert (part["代码"], part["表头"]) == ("part-exceeds-whole", "零售额;本年-本月")
    assert "107900千元大于商品销售额107000千元" in part["问题说明"]
    assert uscc["表头"] == "统一社会信用代码"
    assert "文本格式" in uscc["问题说明"]


def test_the_corrected_file_is_registered_whole_and_the_same_file_again_changes_nothing(
    office: Office, tmp_path: Path, march: Path
) -> None:
    import_march(office, export(tmp_path / "第一次.csv", BAD))
    first = import_march(office, march).answer
    assert first is not None
    assert (first.filed, first.revised, first.unchanged) == (6, 0, 0)
    again = import_march(office, march).answer
    assert again is not None
    assert (again.filed, again.revised, again.unchanged) == (0, 0, 6)
    assert again.position == first.position == head(office)


@on_one_database
def test_every_registration_keeps_the_file_its_fingerprint_and_its_row(office: Office, march: Path) -> None:
    import_march(office, march)
    (history,) = office.read(f"/v1/returns/{WU}", year=2024)["returns"]
    source = history["versions"][0]["source"]
    assert source["name"] == "2024-03 平台导出.csv"
    assert source["row"] == 6
    assert len(source["sha256"]) == 64


@pytest.mark.parametrize("published_first", [False, True], ids=["returns first", "policy first"])
def test_the_six_enterprises_are_assessed_alike_whether_the_policy_or_the_file_came_first(
    office: Office, clock: TestClock, march: Path, *, published_first: bool
) -> None:
    clock.set("2024-04-12T01:00:00Z")
    if published_first:
        assert office.publish().status_code == 202
    import_march(office, march)
    if not published_first:
        assert office.read("/v1/entitlements", window="2024H1", totals=True)["assessed_fen"] == 0
        clock.set("2024-05-31T01:00:00Z")
        assert office.publish().status_code == 202

    accounts = {uscc: office.entitlement(uscc)["periods"][0] for uscc in NAMES}
    amounts = {NAMES[uscc][0]: account["assessed_fen"] // WANYUAN for uscc, account in accounts.items()}
    assert amounts == {"甲": 10, "乙": 6, "丙": 0, "丁": 0, "戊": 0, "己": 50}
    assert accounts[YI]["open_fen"] == 4 * WANYUAN
    assert accounts[YI]["open_readings"] == ["catering-tail"]
    assert accounts[BING]["status"] == accounts[WU]["status"] == "not-eligible"
    assert accounts[DING]["status"] == "undetermined"
    assert (accounts[JI]["rule_fen"], accounts[JI]["bound_by"]) == (75 * WANYUAN, ["month-ceiling"])

    listed = office.read("/v1/entitlements", window="2024H1")
    assert (listed["total"], listed["assessed_fen"]) == (6, 66 * WANYUAN)
    undetermined = office.read("/v1/entitlements", window="2024H1", status="undetermined")
    assert [item["uscc"] for item in undetermined["items"]] == [DING]


@on_one_database
def test_the_reasons_say_what_was_missing(office: Office, march: Path) -> None:
    office.publish()
    import_march(office, march)
    growth = _step(office, BING, "growth-over")
    assert (growth["met"], growth["shortfall_fen"]) == (False, 10_000_000)
    assert "7.9%" in growth["sentence"]
    assert "须高于10800万元" in growth["sentence"].replace(",", "")
    steps = _step(office, WU, "no-whole-step")
    assert (steps["met"], steps["output"], steps["shortfall_fen"]) == (False, 0, 199_900_000)
    assert steps["inputs"]["increment_fen"] == 800_100_000


def _step(office: Office, uscc: str, rule: str) -> Any:
    steps = office.read(f"/v1/entitlements/{uscc}/2024H1/2024-03")["steps"]
    (found,) = (step for step in steps if step["rule"] == rule)
    return found
