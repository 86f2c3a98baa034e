"""The sheet of red flags, as whoever opens it finds it."""

import zipfile
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from app.workbooks.red_flag_sheet import SHEET_NAME, write_red_flag_sheet
from app.workbooks.sheets import NOTES_NAME
from domain.events import Source
from domain.red_flags.kinds import RedFlag
from tests.builders import trade
from tests.domain.dossier import Dossier
from tests.domain.test_group_flags import city, clusters, near_a_step

AMOUNTS = ("期间测算金额", "仅此处按比较数测算", "期间内各处均按比较数测算")
NOTES = [("范围", "2024年上半年"), ("性质", "=HYPERLINK()")]


def read_back(path: Path, name: str = SHEET_NAME) -> list[list[object]]:
    with CalamineWorkbook.from_path(path) as workbook:
        assert workbook.sheet_names == [SHEET_NAME, NOTES_NAME]
        return [list(row) for row in workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)]


def lines(path: Path) -> list[dict[object, object]]:
    heading, *rows = read_back(path)
    return [dict(zip(heading, row, strict=True)) for row in rows]


def sheet_xml(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.read("xl/worksheets/sheet1.xml").decode()


def corrected(**changes: object) -> list[RedFlag]:
    """A base that is filled in: two questions of two versions each."""
    dossier = Dossier()
    source = Source(name="2024年3月.xlsx", sha256="3f" * 32, sheet="零售", row=7)
    dossier.file(trade(110_000, None, source=source))
    usual = {"reason": "补填", "origin": "enterprise", "document": "营统核〔2024〕1号"}
    dossier.file(trade(110_000, 100_000, **{**usual, **changes}), by="统计乙")
    return dossier.flags("base-changed", "base-earns")


def test_a_line_stands_for_each_version_that_a_question_is_asked_of(tmp_path: Path) -> None:
    path = tmp_path / "疑点.xlsx"
    write_red_flag_sheet(path, corrected(), NOTES)
    found = lines(path)
    assert [(line["疑点序号"], line["疑点"]) for line in found] == [
        (1.0, "上年同期数有更正"),
        (1.0, "上年同期数有更正"),
        (2.0, "更正上年同期数后测算金额增加"),
        (2.0, "更正上年同期数后测算金额增加"),
    ]
    first, second = found[2:]
    assert (first["数据列"], first["现数（万元）"], first["比较数（万元）"]) == ("上年同期数", 10_000.0, "")
    assert [first[f"{name}（万元）"] for name in AMOUNTS] == [5.0, 0.0, 0.0]
    of_source = ("来源文件", "来源文件指纹（SHA-256）", "工作表", "行号")
    assert [first[f"依据：{name}"] for name in ("台账序号", "记录", *of_source)] == [
        1.0,
        "数据登记",
        "2024年3月.xlsx",
        "3f" * 32,
        "零售",
        7.0,
    ]
    assert second["依据：登记时间（北京时间）"] == "2024-04-10 16:00:00"
    assert [
        second[f"依据：{name}"]
        for name in ("记录", "经办人", "更正或撤销原因", "更正来源", "文号", "来源文件")
    ] == ["更正登记", "统计乙", "补填", "企业改报", "营统核〔2024〕1号", ""]
    assert (second["依据：本期数（万元）"], second["依据：上年同期数（万元）"]) == (11_000.0, 10_000.0)


def test_a_withdrawal_stands_without_figures(tmp_path: Path) -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000))
    dossier.withdraw("E204-1", "2024-03", at="2024-08-01T00:00:00+08:00")
    write_red_flag_sheet(tmp_path / "a.xlsx", dossier.flags(), NOTES)
    line = lines(tmp_path / "a.xlsx")[-1]
    assert (line["现数（万元）"], line["比较数（万元）"]) == ("", 11_000.0)
    assert (line["依据：记录"], line["依据：本期数（万元）"], line["依据：阶段"]) == ("撤销登记", "", "")


def test_what_returns_earn_together_stands_beside_what_each_earns_alone(tmp_path: Path) -> None:
    dossier = Dossier()
    dossier.file(
        *(trade(250_000, 100_000, period=period) for period in ("2024-01~02", "2024-03", "2024-04")),
        *(trade(250_000, base, period="2024-05", reason="改报") for base in (250_000, 100_000)),
        *(trade(250_000, base, period="2024-06", reason="改报") for base in (250_000, 100_000)),
    )
    write_red_flag_sheet(tmp_path / "a.xlsx", dossier.flags("base-earns"), NOTES)
    found = [[line[f"{name}（万元）"] for name in AMOUNTS] for line in lines(tmp_path / "a.xlsx")]
    assert found == [[200.0, 200.0, 150.0]] * 4


def test_a_base_unlike_the_ledgers_own_figure_stands_with_the_amount_under_either(tmp_path: Path) -> None:
    dossier = Dossier()
    dossier.file(trade(115_000, 80_000, period="2023-03"), trade(150_000, 100_000))
    write_red_flag_sheet(tmp_path / "a.xlsx", dossier.flags("base-differs"), NOTES)
    found = lines(tmp_path / "a.xlsx")
    assert [[line[f"{name}（万元）"] for name in ("现数", "比较数", *AMOUNTS)] for line in found] == [
        [10_000.0, 11_500.0, 25.0, 15.0, 15.0]
    ] * 2


def test_a_group_stands_with_its_counts_and_shares(tmp_path: Path) -> None:
    write_red_flag_sheet(tmp_path / "a.xlsx", clusters(city(near_a_step(17, 3)))[-1:], NOTES)
    found = lines(tmp_path / "a.xlsx")
    assert len(found) == 17
    line = found[-1]
    counts = [line[name] for name in ("户次或次数", "合计户次或次数", "占比（%）", "参考占比（%）")]
    assert counts == [17.0, 20.0, 85.0, 50.0]
    assert (line["企业"], line["处理地"], line["所属期"]) == ("", "站前区", "2024年3月")
    assert len({each["依据：统一社会信用代码"] for each in found}) == 17


def test_an_amount_that_excel_would_round_stands_as_text(tmp_path: Path) -> None:
    dossier = Dossier()
    dossier.file(trade(1, 999_999_999_999), trade(1, 1, reason="改报"))
    fen = 12_345_678_901_234_567
    (flag,) = dossier.flags("base-changed")
    fields = {name: getattr(flag, name) for name in RedFlag.__struct_fields__}
    write_red_flag_sheet(tmp_path / "a.xlsx", [RedFlag(**{**fields, "compared_fen": fen})], NOTES)
    line = lines(tmp_path / "a.xlsx")[0]
    assert (line["比较数（万元）"], line["现数（万元）"]) == ("12345678901.234567", 0.1)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")', "https://x"])
def test_no_text_becomes_a_formula_or_a_link(tmp_path: Path, text: str) -> None:
    write_red_flag_sheet(tmp_path / "a.xlsx", corrected(reason=text, document=text), NOTES)
    line = lines(tmp_path / "a.xlsx")[1]
    assert (line["依据：更正或撤销原因"], line["依据：文号"]) == (text, text)
    xml = sheet_xml(tmp_path / "a.xlsx")
    assert "<f>" not in xml
    assert "<hyperlink" not in xml


def test_the_heading_stays_and_amounts_have_their_format(tmp_path: Path) -> None:
    write_red_flag_sheet(tmp_path / "a.xlsx", corrected(), NOTES)
    xml = sheet_xml(tmp_path / "a.xlsx")
    assert 'topLeftCell="A2"' in xml
    assert 'state="frozen"' in xml
    assert "<autoFilter" in xml
    with zipfile.ZipFile(tmp_path / "a.xlsx") as archive:
        assert 'formatCode="#,##0.00####"' in archive.read("xl/styles.xml").decode()


def test_the_second_sheet_says_what_it_is_told(tmp_path: Path) -> None:
    write_red_flag_sheet(tmp_path / "a.xlsx", [], NOTES)
    assert len(read_back(tmp_path / "a.xlsx")) == 1
    assert read_back(tmp_path / "a.xlsx", NOTES_NAME) == [list(note) for note in NOTES]


def test_what_does_not_fit_in_the_sheet_is_counted_at_its_end(tmp_path: Path) -> None:
    write_red_flag_sheet(tmp_path / "a.xlsx", corrected(), NOTES, max_lines=3)
    found = lines(tmp_path / "a.xlsx")
    assert len(found) == 4
    assert found[-1]["需核实的问题"] == (
        "另有1行未列出：Excel工作表的行数已到上限。请按疑点或处理地分别导出。"
    )
