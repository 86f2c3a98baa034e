"""What an official reads is punctuated by GB/T 15834-2011: strings, documents, templates and sheets."""

from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from app.use_cases.policies.loader import YINGKOU_2024_14
from tests.cli.test_commands import BING, E204_1, JIA, Desk, desk, trade
from tests.databases import only_on_sqlite
from tests.docs.codes import ROOT
from tests.docs.punctuation import chinese_column, strings_of, wrong_in, wrong_marks

__all__ = ["desk"]  # A fixture is found where it stands.

PROGRAMS = [
    *(path for folder in ("app", "domain", "projections") for path in sorted((ROOT / folder).rglob("*.py"))),
    ROOT / "docs" / "verify_receipt.py",
]
TEMPLATES = [path for kind in ("html", "jinja", "j2") for path in sorted((ROOT / "app").rglob(f"*.{kind}"))]
DOCUMENTS = [
    *sorted((ROOT / "domain" / "policies").glob("*.yaml")),
    *TEMPLATES,
    ROOT / "app" / "archive" / "export_readme.md",
    ROOT / "README.md",
]
HALF, FULL = ",:;?!()", "\uff0c\uff1a\uff1b\uff1f\uff01\uff08\uff09"
TO_HALF = str.maketrans(FULL, HALF)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_no_string_has_a_half_width_mark_beside_chinese(path: Path) -> None:
    assert wrong_in(path) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_no_document_has_a_half_width_mark_beside_chinese(path: Path) -> None:
    assert wrong_in(path) == []


def test_no_term_of_the_glossary_has_a_half_width_mark() -> None:
    terms = [term for _, term in chinese_column((ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))]
    assert "\u8c03\u67e5\u5355\u4f4d\u5e93" in "".join(terms)
    assert [mark for term in terms for mark in wrong_marks(term)] == []


@only_on_sqlite
def test_no_cell_of_a_sheet_has_a_half_width_mark_beside_chinese(desk: Desk) -> None:
    """The problem sheet with errors and warnings, the red flags and the differences of a correction."""
    wrong = desk.csv("2024年3月.csv", E204_1, trade(JIA, "1O7900", "100000"), trade("91", "1", "1"))
    desk.run("import", wrong, "--unit", "千元", "--problems", "problems.xlsx", code=1)
    desk.run("policy", "publish", YINGKOU_2024_14)
    march = desk.csv(
        "2024年3月.csv",
        E204_1,
        trade(JIA, "110000", ""),
        [*trade(BING, "-5", "100000", sales="9", region="210899")[:8], "7", "8"],
    )
    desk.run("import", march, "--unit", "千元", "--problems", "warnings.xlsx")
    mended = desk.csv("2024年3月更正.csv", E204_1, trade(JIA, "110000", "100000"))
    told = ("--reason", "补填上年同期数", "--origin", "企业改报", "--document", "营统函〔2024〕12号")
    desk.run("import", mended, "--unit", "千元", "--period", "2024-03", *told)
    desk.run("audit", "red-flags", "2024H1", "--xlsx", "flags.xlsx")
    desk.run("audit", "differences", "0", str(_head(desk)), "--xlsx", "changes.xlsx")
    for sheet in ("problems.xlsx", "warnings.xlsx", "flags.xlsx", "changes.xlsx"):
        cells = _cells(desk.folder / sheet)
        assert any("\u4e00" <= character <= "\u9fff" for cell in cells for character in cell)
        assert [mark for cell in cells for mark in wrong_marks(cell)] == [], sheet


def _head(desk: Desk) -> int:
    head: int = desk.json("list", "2024H1")["as_of"]["position"]
    return head


def _cells(path: Path) -> list[str]:
    """Every text of a workbook: names of sheets, headings, cells."""
    with CalamineWorkbook.from_path(str(path)) as workbook:
        sheets = [(name, workbook.get_sheet_by_name(name).to_python()) for name in workbook.sheet_names]
    return [name for name, _ in sheets] + [
        cell for _, rows in sheets for row in rows for cell in row if isinstance(cell, str)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "首次登记，未填",
        "原因：未填；来源：企业改报",
        "核实了吗？请说明！",
        "半年（上半年）",
        "规模（GB）为准",
        "（见Excel）",
        "第\ue000行：\ue000",
    ],
)
def test_each_mark_is_found_where_it_is_half_width(text: str) -> None:
    assert wrong_marks(text) == []
    for full, half in zip(FULL, HALF, strict=True):
        if full in text:
            assert wrong_marks(text.replace(full, half)), half
    assert wrong_marks(text.translate(TO_HALF))


@pytest.mark.parametrize(
    "text",
    [
        "登记时间为2024-04-10T08:00:00+08:00",
        "指纹sha256:5e5e, 12:30",
        "零售额;本年-本月",
        "零售额;上年-1—本月",
        "[201-1] 行业代码(GB/T4754-2017)",
        '{"unit": "qianyuan"}',
        "An English sentence (without Chinese), in full.",
    ],
)
def test_codes_times_json_and_headings_of_the_platform_stay_half_width(text: str) -> None:
    assert wrong_marks(text) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("program.py", "'''Tells.'''\nTOLD = f'第{1}行, 有误'\n"),
        ("program.py", "TOLD = ('第一行'\n    ', 有误')\n"),
        ("program.py", "def command():\n    '''列出企业(全部)。'''\n"),
        ("policy.yaml", "policy: x\n# 注释: 一\n"),
        ("policy.yaml", "clauses:\n  - text: 每达1000万元, 给予奖励\n"),
        ("page.html", "<p title='x'>核对, 登记</p>\n"),
        ("page.jinja", "<p>第{{ row }}行:{{ message }}</p>\n"),
        ("readme.md", "# 标题\n\n说明: 见下\n"),
    ],
)
def test_a_wrong_mark_is_found_in_a_file_of_each_kind(tmp_path: Path, name: str, source: str) -> None:
    path = tmp_path / name
    path.write_text(source, encoding="utf-8")
    assert wrong_in(path) != []


def test_patterns_and_english_docstrings_are_no_texts_for_officials() -> None:
    source = "'''Reads (表号), always.'''\nimport re\nP = re.compile('注[:](.*)')\nQ = '一'\n"
    assert [text for _, text in strings_of(source)] == ["一"]
