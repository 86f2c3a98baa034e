"""`duixian audit red-flags`, as an auditor types it."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from app.use_cases.policies.loader import YINGKOU_2024_14
from tests.api.rows import code
from tests.cli.test_commands import BING, DING, E204_1, Desk, trade
from tests.databases import Database, on_one_database

COMMAND = ("audit", "red-flags", "2024H1")
NO_VERDICT = "每条疑点都是供核实的线索，不是结论；列入清单不表示数据或金额有误。"


@pytest.fixture(scope="module")
def recorded(migrated: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A ledger that holds a base that was filled in, after the half-year, and one that was raised."""
    database = migrated.copy()
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DUIXIAN_DATABASE_URL", database.url)
        record(Desk(folder))
    yield database
    database.drop()


def record(made: Desk) -> None:
    """File for two enterprises, and correct both."""
    made.run("policy", "publish", YINGKOU_2024_14)
    first = [trade(BING, "110000", ""), trade(DING, "110000", "100000", region="210803")]
    made.run("import", made.csv("2024年3月 E204-1.csv", E204_1, *first), "--unit", "千元")
    then = [trade(BING, "110000", "100000"), trade(DING, "110000", "109000", region="210803")]
    made.run(
        "import",
        made.csv("2024年3月更正 E204-1.csv", E204_1, *then),
        *("--unit", "千元", "--reason", "=企业改报", "--origin", "enterprise"),
    )


@pytest.fixture
def database(recorded: Database) -> Iterator[Database]:
    """A copy of it."""
    made = recorded.copy()
    yield made
    made.drop()


@pytest.fixture
def desk(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with this ledger."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", database.url)
    return Desk(tmp_path)


@on_one_database
def test_each_question_is_printed_with_the_registrations_it_rests_on(desk: Desk) -> None:
    printed = desk.run(*COMMAND, "--flag", "base-earns").stdout
    assert (
        f"[更正上年同期数后测算金额增加] {BING} 示例1001072024年3月零售额上年同期数原未填，"
        "现补填10000万元；2024年上半年测算金额按现数为5万元，按原未填时为0万元，请核实更正上年同期数的依据。"
    ) in printed
    (item,) = desk.json(*COMMAND, "--flag", "base-earns")["items"]
    first, then = item["evidence"]
    assert described(first, "数据登记 2024年3月 E204-1，2024年3月 E204-1.csv 第2行") in printed
    corrected = "更正登记 2024年3月 E204-1，2024年3月更正 E204-1.csv 第2行，=企业改报（企业改报）"
    assert described(then, corrected) in printed
    assert "共1条疑点：更正上年同期数后测算金额增加1条。截至" in printed
    assert NO_VERDICT in printed


def described(version: dict[str, Any], what: str) -> str:
    """A line of evidence: what was recorded, by whom, when in Beijing, at which position."""
    recorded_at = datetime.fromisoformat(version["recorded_at"]).astimezone(timezone(timedelta(hours=8)))
    at = f"{recorded_at:%Y-%m-%d %H:%M:%S}"
    return f"    {what}，经办：{version['actor']}，{at}，台账序号{version['position']}\n"


@on_one_database
def test_of_a_group_a_dozen_registrations_are_printed_each_with_its_enterprise(desk: Desk) -> None:
    firms = [code(number) for number in range(2001, 2021)]
    rows = [trade(uscc, "110000", "100000") for uscc in firms]
    desk.run("import", desk.csv("2024年4月 E204-1.csv", E204_1, *rows), "--unit", "千元")
    printed = desk.run(*COMMAND, "--flag", "threshold-cluster", "--region", "210802").stdout
    april = printed[printed.index("2024年4月站前区零售增长奖励") :]
    shown = re.findall(r"^    (\w{18}) 数据登记 2024年4月", april, re.MULTILINE)
    assert shown == sorted(firms)[:12]
    assert "    等20条，其余见--xlsx或--json。\n" in april


@on_one_database
def test_flags_and_regions_narrow_the_list_and_no_question_is_said_too(desk: Desk) -> None:
    found = desk.json(*COMMAND, "--flag", "base-changed", "--flag", "base-earns", "--region", "210803")
    assert [(item["uscc"], item["flag"]) for item in found["items"]] == [(DING, "base-changed")]
    assert "没有疑点。截至" in desk.run(*COMMAND, "--flag", "december-jump").stdout


def test_the_json_is_that_of_the_service_for_all_flags_at_once(desk: Desk) -> None:
    found = desk.json(*COMMAND)
    assert [item["flag"] for item in found["items"]] == [
        *("base-changed", "base-earns", "late-correction"),
        *("base-changed", "late-correction"),
    ]
    assert found["thresholds"]["listed_most"] == 500
    evidence = found["items"][0]["evidence"]
    assert [(version["source"]["name"], version["source"]["row"]) for version in evidence] == [
        ("2024年3月 E204-1.csv", 2),
        ("2024年3月更正 E204-1.csv", 2),
    ]


def test_as_of_before_the_correction_there_is_no_question(desk: Desk) -> None:
    filed, corrected = (version["position"] for version in desk.json(*COMMAND)["items"][0]["evidence"])
    before = desk.json(*COMMAND, "--position", str(corrected - 1))
    assert before["items"] == []
    assert filed <= before["as_of"]["position"] < corrected
    assert desk.json(*COMMAND, "--known-at", "2024-01-01T00:00:00Z")["as_of"]["position"] == 0


@on_one_database
def test_the_workbook_has_a_sheet_of_questions_and_one_of_what_they_mean(desk: Desk) -> None:
    printed = desk.run(*COMMAND, "--xlsx", "疑点.xlsx").stdout
    assert printed.startswith("疑点清单已写入疑点.xlsx。共5条疑点：")
    with CalamineWorkbook.from_path("疑点.xlsx") as workbook:
        rows = workbook.get_sheet_by_name("疑点清单").to_python()
        notes = {row[0]: str(row[1]) for row in workbook.get_sheet_by_name("说明").to_python()}
    assert rows[2][-3:] == ["=企业改报", "企业改报", ""]
    assert len(rows) == 1 + 5 * 2
    assert notes["性质"] == NO_VERDICT
    assert "北京时间，台账序号" in notes["时点"]
    assert notes["政策文件"] == "yingkou-2024-14 版本1"
    assert "不足20户次" in notes["集中在计奖临界值以上"]
    assert "2倍" in notes["12月变动较大"]


@on_one_database
def test_before_a_policy_covers_the_half_year_the_workbook_says_so(desk: Desk) -> None:
    desk.run("audit", "red-flags", "2023H1", "--region", "210803", "--xlsx", "a.xlsx")
    with CalamineWorkbook.from_path("a.xlsx") as workbook:
        notes = {row[0]: row[1] for row in workbook.get_sheet_by_name("说明").to_python()}
    assert notes["政策文件"] == "尚无覆盖该期间的政策，不列测算金额。"
    assert notes["范围"] == "2023年上半年，西市区"


@on_one_database
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("audit", "red-flags", "2024H3"), 2, "期间“2024H3”无法识别"),
        ((*COMMAND, "--flag", "none"), 2, "没有“none”"),
        ((*COMMAND, "--region", "月球"), 2, "没有“月球”"),
        ((*COMMAND, "--xlsx", "a.xlsx", "--json"), 2, "--xlsx与--json只能给一个"),
        ((*COMMAND, "--position", "1", "--known-at", "2024-01-01T00:00:00Z"), 2, "只能给一个"),
        ((*COMMAND, "--position", "999999"), 1, "台账最后的序号是"),
        ((*COMMAND, "--policy", "none"), 1, "没有发布过编号为none的政策文件"),
        ((*COMMAND, "--xlsx", "nowhere/a.xlsx"), 1, "疑点清单无法写入nowhere/a.xlsx：文件或文件夹不存在。"),
        ((*COMMAND, "--xlsx", "."), 1, "疑点清单无法写入.：这是一个文件夹。"),
    ],
)
def test_what_cannot_be_asked_is_said_with_its_exit_code(
    desk: Desk, words: tuple[str, ...], code: int, said: str
) -> None:
    assert said in desk.run(*words, code=code).output.replace("\n", "").replace(" ", "").replace("│", "")
