"""The command line as its users type it."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook
from typer.testing import CliRunner, Result

from app.cli.commands import app
from app.use_cases.policies.loader import YINGKOU_2024_14
from tests.databases import Database, on_one_database

E204_1 = [
    "处理地编码",
    "统一社会信用代码",
    "单位详细名称",
    "[201-1] 行业代码(GB/T4754-2017)",
    "商品销售额;本年-本月",
    "商品销售额;上年-本月",
    "零售额;本年-本月",
    "零售额;上年-本月",
    "零售额;本年-1—本月",
    "零售额;上年-1—本月",
]
S204_1 = [
    *E204_1[:4],
    "营业额;本年-本月",
    "营业额;上年-本月",
    "餐费收入;本年-本月",
    "餐费收入;上年-本月",
]
JIA, YI, BING = "91210802MA0010002C", "91210802MA0020139J", "91210802MA00100107"
DING, WU, JI = "91210802MA00100887", "91210802MA00100294", "91210802MA0010061F"


class Desk:
    """A clerk's desk: a folder, a database, a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = CliRunner()

    def run(self, *words: str | Path, code: int = 0) -> Result:
        result = self.runner.invoke(app, [str(word) for word in words])
        assert result.exit_code == code, result.output
        return result

    def json(self, *words: str | Path) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def csv(self, name: str, headings: list[str], *rows: list[str]) -> Path:
        path = self.folder / name
        with path.open("w", encoding="gb18030", newline="") as file:
            csv.writer(file).writerows([headings, *rows])
        return path


@pytest.fixture
def desk(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", database.url)
    return Desk(tmp_path)


def trade(uscc: str, current: str, prior: str, *, sales: str = "", region: str = "210802") -> list[str]:
    return [region, uscc, f"示例{uscc[-6:]}", "5211", sales, "", current, prior, "", ""]


def catering(uscc: str, current: str, prior: str) -> list[str]:
    return ["210802", uscc, f"示例{uscc[-6:]}", "6210", "", "", current, prior]


def test_a_month_is_returned_mended_registered_and_assessed(desk: Desk) -> None:
    """Scenario 1: the month close of March 2024."""
    wrong = desk.csv(
        "2024年3月 E204-1.csv",
        E204_1,
        trade(JIA, "123456", "100000"),
        trade(BING, "107900", "100000", sales="90000"),
        trade("9.1E+17", "110000", "—"),
        trade(WU, "108001", "100000"),
        trade(JI, "250000", "100000"),
    )
    sheet = desk.folder / "问题.xlsx"
    refused = desk.run("import", wrong, "--unit", "千元", "--problems", sheet, code=1)
    assert "未登记" in refused.output
    lines = CalamineWorkbook.from_path(str(sheet)).get_sheet_by_index(0).to_python()
    found = {(line[2], line[3], line[7]): line for line in lines[1:]}
    assert {(row, code) for row, _, code in found} == {(3.0, "part-exceeds-whole"), (4.0, "field-invalid")}
    assert next(line[5] for line in lines[1:] if line[2] == 4.0) == "9.1E+17"
    assert desk.json("list", "2024H1")["total"] == 0

    mended = desk.csv(
        "2024年3月 E204-1.csv",
        E204_1,
        trade(JIA, "123456", "100000"),
        trade(BING, "107900", "100000", sales="290000"),
        trade(DING, "110000", "—"),
        trade(WU, "108001", "100000"),
        trade(JI, "250000", "100000"),
    )
    hotel = desk.csv("2024年3月 S204-1.csv", S204_1, catering(YI, "5300", "2000"))
    answers = desk.json("import", mended, hotel, "--unit", "千元")
    assert [answer["answer"]["filed"] for answer in answers] == [5, 1]

    desk.run("policy", "publish", YINGKOU_2024_14)
    listed = desk.json("list", "2024H1")
    assert listed["assessed_fen"] == 660_000_00
    assessed = {item["uscc"]: item["assessed_fen"] for item in listed["items"]}
    assert assessed == {
        JIA: 100_000_00,
        YI: 60_000_00,
        BING: 0,
        DING: 0,
        WU: 0,
        JI: 500_000_00,
    }
    assert desk.json("list", "2024H1", "--status", "undetermined")["total"] == 1
    assert desk.json("entitlement", YI, "2024H1")["open_fen"] == 40_000_00

    head = listed["as_of"]["position"]
    again = desk.json("import", mended, hotel, "--unit", "千元")
    assert [answer["answer"]["unchanged"] for answer in again] == [5, 1]
    assert again[-1]["answer"]["position"] == head


@on_one_database
def test_assessing_on_filing_gives_what_assessing_on_publication_gives(desk: Desk) -> None:
    desk.run("policy", "publish", YINGKOU_2024_14)
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"), trade(JI, "250000", "100000"))
    desk.run("import", month, "--unit", "千元")
    assert desk.json("list", "2024H1")["assessed_fen"] == 600_000_00


@on_one_database
def test_an_explanation_names_the_amount_and_the_clause(desk: Desk) -> None:
    desk.run("policy", "publish", YINGKOU_2024_14)
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    desk.run("import", month, "--unit", "千元")
    output = desk.run("entitlement", JIA, "2024H1", "--explain").output
    assert "每满1000万元按5万元测算，计10万元" in output
    assert "第14条" in output


def test_a_dry_run_of_a_file_says_what_would_change_and_records_nothing(desk: Desk) -> None:
    desk.run("policy", "publish", YINGKOU_2024_14)
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    preview = desk.json("import", month, "--unit", "千元", "--dry-run")[0]["answer"]["preview"]
    assert preview == [{"uscc": JIA, "period": "2024-03", "before_fen": None, "after_fen": 100_000_00}]
    assert desk.json("list", "2024H1")["total"] == 0


@on_one_database
def test_a_correction_needs_its_reason_and_takes_it_from_the_command(desk: Desk) -> None:
    first = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    desk.run("import", first, "--unit", "千元")
    second = desk.csv("2024年3月更正.csv", E204_1, trade(JIA, "123457", "100000"))
    refused = desk.run("import", second, "--unit", "千元", code=1)
    assert "revision-needs-reason" in refused.output
    answer = desk.json("import", second, "--unit", "千元", "--reason", "企业改报", "--origin", "enterprise")
    assert answer[0]["answer"]["revised"] == 1


@on_one_database
def test_the_same_return_twice_in_a_file_is_refused_with_both_rows(desk: Desk) -> None:
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "1", "1"), trade(JI, "1", "1"), trade(JIA, "2", "1"))
    output = desk.run("import", month, "--unit", "千元", code=1).output
    assert "第4行" in output
    assert "与第2行重复" in output


@on_one_database
def test_a_problem_of_a_cell_names_its_heading(desk: Desk) -> None:
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "1O7900", "1"))
    output = desk.run("import", month, "--unit", "千元", code=1).output
    assert "“零售额;本年-本月”：“1O7900”不是有效金额" in output.replace("\n", "")


@on_one_database
def test_files_after_a_refused_one_are_left_alone(desk: Desk) -> None:
    bad = desk.csv("2024年3月.csv", E204_1, trade(JIA, "abc", "1"))
    good = desk.csv("2024年4月.csv", E204_1, trade(JIA, "1", "1"))
    output = desk.run("import", bad, good, "--unit", "千元", code=1).output
    assert "其后的文件未处理：2024年4月.csv" in output
    assert desk.json("list", "2024H1")["total"] == 0


@on_one_database
@pytest.mark.parametrize(
    "words",
    [
        ("import", "x.csv"),
        ("import", "x.csv", "--unit", "美元"),
        ("import", "x.csv", "--unit", "千元", "--stage", "draft"),
        ("import", "x.csv", "--unit", "千元", "--origin", "nobody"),
        ("entitlement", "123", "2024H1"),
        ("entitlement", JIA, "2024H3"),
        ("list", "2024H3"),
        ("list", "2024Q1"),
        ("summary", "2024"),
        ("audit", "red-flags", "2024Q1"),
        ("audit", "differences", "0", "1", "--window", "2024Q1"),
        ("list", "2024H1", "--sort", "name"),
        ("list", "2024H1", "--known-at", "yesterday"),
        ("list", "2024H1", "--position", "0", "--known-at", "2024-08-05T18:00:00+08:00"),
        ("keys", "create", "--role", "mayor", "--name", "x"),
        ("nonsense",),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(desk: Desk, words: tuple[str, ...]) -> None:
    desk.run(*words, code=2)


@on_one_database
@pytest.mark.parametrize(
    "words",
    [
        ("import", "missing.csv", "--unit", "千元"),
        ("entitlement", JIA, "2024H1"),
        ("list", "2024H1", "--position", "9"),
        ("list", "2024H1", "--policy", "none"),
        ("policy", "check", "missing.yaml"),
        ("keys", "revoke", "nobody"),
    ],
    ids=" ".join,
)
def test_a_refusal_ends_with_1_and_says_why(desk: Desk, words: tuple[str, ...]) -> None:
    result = desk.run(*words, code=1)
    assert result.stderr.strip()


@on_one_database
def test_a_preliminary_amount_counts_in_the_sum_and_is_shown_apart(desk: Desk) -> None:
    desk.run("policy", "publish", YINGKOU_2024_14)
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    desk.run("import", month, "--unit", "千元", "--stage", "初报数")
    printed = desk.run("entitlement", JIA, "2024H1", "--explain").stdout
    assert "共1期有测算金额，合计10万元，其中依据待明确口径10万元，其中初报数10万元；" in printed
    assert (
        "测算金额10万元仅供参考，审定后重新测算；计入测算金额合计，另列其中初报数；不得列入拟奖励名单。"
        in printed
    )
    desk.run("import", month, "--unit", "千元")
    assert "初报数" not in desk.run("entitlement", JIA, "2024H1", "--explain").stdout


@on_one_database
def test_options_take_the_chinese_names(desk: Desk) -> None:
    desk.run("policy", "publish", YINGKOU_2024_14)
    month = desk.csv(
        "2024年3月.csv",
        E204_1,
        trade(JIA, "110000", "100000"),
        trade(BING, "107900", "100000", region="210803"),
    )
    desk.run("import", month, "--unit", "千元", "--stage", "审定数")
    for option, name, number in (
        ("--region", "西市区", BING),
        ("--measure", "零售增长奖励", JIA),
        ("--status", "不予奖励", BING),
    ):
        assert [item["uscc"] for item in desk.json("list", "2024H1", option, name)["items"]] == [number]
    assert desk.json("list", "2024H1", "--stage", "审定数", "--industry", "零售业")["total"] == 2
    by_name = desk.json("summary", "2024H1", "--group-by", "处理地")
    assert by_name == desk.json("summary", "2024H1", "--group-by", "region_code")

    mended = desk.csv("2024年3月.csv", E204_1, trade(BING, "108000", "100000", region="210803"))
    options = ("--unit", "千元", "--reason", "补报", "--origin", "企业改报")
    desk.run("import", mended, *options)
    assert desk.json("returns", BING, "2024")["returns"][0]["versions"][-1]["origin"] == "enterprise"


@on_one_database
@pytest.mark.parametrize(
    ("words", "known"),
    [
        (("list", "2024H1", "--region", "月球"), "210802"),
        (("list", "2024H1", "--measure", "没有的奖项"), "retail-growth"),
        (("list", "2024H1", "--status", "可疑"), "undetermined"),
        (("list", "2024H1", "--stage", "估计"), "preliminary"),
        (("list", "2024H1", "--industry", "采矿业"), "51"),
        (("summary", "2024H1", "--group-by", "颜色"), "period"),
        (("import", "2024年3月.csv", "--unit", "千元", "--origin", "听说"), "enforcement"),
        (("audit", "differences", "0", "1", "--region", "月球"), "210802"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_value_that_nobody_knows_ends_with_2_and_the_known_ones(
    desk: Desk, words: tuple[str, ...], known: str
) -> None:
    desk.run("policy", "publish", YINGKOU_2024_14)
    desk.csv("2024年3月.csv", E204_1, trade(JIA, "110000", "100000"))
    framed = desk.run(*words, code=2).stderr
    assert known in re.sub(r"[\s│]", "", framed)


@on_one_database
def test_a_bad_policy_is_refused_with_file_and_line(desk: Desk) -> None:
    path = desk.folder / "bad.yaml"
    path.write_text(YINGKOU_2024_14.read_text(encoding="utf-8") + "\nsurprise: 1\n", encoding="utf-8")
    line = len(path.read_text(encoding="utf-8").rstrip().split("\n"))
    assert f"bad.yaml:{line}: " in desk.run("policy", "publish", path, code=1).stderr
    assert desk.json("policy", "list") == []


@on_one_database
def test_keys_are_shown_once_listed_and_revoked(desk: Desk) -> None:
    token = desk.run("keys", "create", "--role", "auditor", "--name", "审计").stdout
    assert token.strip() == token.rstrip("\n")
    assert token.count("\n") == 1
    assert [key["name"] for key in desk.json("keys", "list")] == ["审计"]
    desk.run("keys", "create", "--role", "auditor", "--name", "审计", code=1)
    desk.run("keys", "revoke", "审计")
    desk.run("keys", "revoke", "审计", code=1)


@on_one_database
@pytest.mark.parametrize("role", ["commerce", "admin"])
def test_a_key_that_sees_figures_though_its_role_does_not_is_marked_in_the_list(
    desk: Desk, role: str
) -> None:
    desk.run("keys", "create", "--role", role, "--name", "甲", "--with-figures")
    desk.run("keys", "create", "--role", role, "--name", "乙")
    desk.run("keys", "create", "--role", "auditor", "--name", "丙")
    marked = [
        line.partition("（")[0] for line in desk.run("keys", "list").stdout.splitlines() if "单户" in line
    ]
    assert marked == ["甲"]


def test_a_rebuild_changes_no_answer(desk: Desk) -> None:
    desk.run("policy", "publish", YINGKOU_2024_14)
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    desk.run("import", month, "--unit", "千元")
    before = desk.json("list", "2024H1")
    desk.run("projections", "rebuild")
    assert desk.json("list", "2024H1") == before


def test_a_database_that_is_not_migrated_is_refused(
    tmp_path: Path, unmigrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", unmigrated.url)
    desk = Desk(tmp_path)
    assert "duixian migrate" in desk.run("list", "2024H1", code=1).stderr
    desk.run("migrate")
    assert desk.json("list", "2024H1")["total"] == 0


WRONG_SETTINGS = (
    ("DUIXIAN_PORT", "abc", "应为整数"),
    ("DUIXIAN_PORT", "70000", "不能大于65535"),
    ("DUIXIAN_PORT", "1" * 5_000, "应为整数"),
    ("DUIXIAN_WORKERS", "0", "不能小于1"),
    ("DUIXIAN_POOL_SIZE", "1.5", "应为整数"),
    ("DUIXIAN_STATEMENT_TIMEOUT_S", "1" * 20, "不能大于2000000"),
    ("DUIXIAN_LOG_FORMAT", "xml", "应为text或json"),
    ("DUIXIAN_DATABASE_URL", "duixian.db", "应为sqlite:///"),
    ("DUIXIAN_DATABASE_URL", "postgresql://localhost/duixian", "应为sqlite:///"),
    ("DUIXIAN_DATABASE_URL", "postgresql+psycopg://localhost:port/duixian", "应为sqlite:///"),
    ("DUIXIAN_DATABASE_URL", "mysql://localhost/duixian", "应为sqlite:///"),
)
EACH_SETTING = """
import json, os, sys
from app.cli import main

for name, value in json.load(sys.stdin):
    os.environ[name] = value
    try:
        main()
    except SystemExit as ended:
        print("exit", ended.code, file=sys.stderr)
    del os.environ[name]
"""


@pytest.mark.slow
def test_a_setting_that_cannot_be_is_wrong_usage(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", EACH_SETTING, "policy", "list"],
        input=json.dumps([setting[:2] for setting in WRONG_SETTINGS]),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in result.stderr
    said = result.stderr.splitlines()
    assert said[1::2] == ["exit 2"] * len(WRONG_SETTINGS)
    for (name, _, expected), line in zip(WRONG_SETTINGS, said[::2], strict=True):
        assert line.startswith(f"设置{name}无效：{expected}")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").write_text("a file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", "sqlite:///data/duixian.db")
    for words in (["migrate"], ["list", "2024H1"]):
        assert "文件夹无法建立" in Desk(tmp_path).run(*words, code=1).stderr
