import datetime as dt
import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook
from stdnum.cn import uscc as stdnum_uscc

from app.demo.cases import SPECIAL, at
from app.demo.firms import organisation_check, special_firms
from app.demo.sample import SampleFile, write_sample

PERIOD_IDS = [
    f"{year}-{month}" for year in (2023, 2024) for month in ("01~02", *(f"{m:02}" for m in range(3, 13)))
]
IDENTITY = ["处理地编码", "统一社会信用代码", "单位详细名称", "[201-1] 行业代码(GB/T4754-2017)", "单位规模"]
ITEMS = {
    "E204-1": ["商品销售额", "零售额"],
    "S204-1": ["营业额", "客房收入", "餐费收入", "商品销售额"],
}
COLUMNS = ["本年-本月", "上年-本月", "本年-1—本月", "上年-1—本月"]
NOW, PRIOR, NOW_YTD, PRIOR_YTD = range(4)
OPTIONAL = ["校验例外理由", "当月在库", "更正原因", "更正来源", "依据文号"]
LATE, CORRECTED = "补报", "更正"
STEP, ROOM = 10_000, 100_000


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet as it was read back: the rows above, in and below its table."""

    file: SampleFile
    form: str
    name: str
    title: str
    headings: list[str]
    body: list[list[object]]
    total: list[object] | None


@dataclass(frozen=True, slots=True)
class Row:
    file: SampleFile
    form: str
    sheet: str
    period: int
    region: str
    uscc: str
    name: str
    industry: str
    figures: dict[str, tuple[int | None, int | None, int | None, int | None]]
    marks: dict[str, str]

    @property
    def kind(self) -> str:
        return next((kind for kind in (LATE, CORRECTED) if kind in self.file.path.name), "")

    @property
    def lead(self) -> tuple[int | None, int | None, int | None, int | None]:
        return self.figures["零售额" if self.form == "E204-1" else "餐费收入"]

    @property
    def increment(self) -> int | None:
        """The increment; `None` if the base is missing, zero or negative."""
        now, prior = self.lead[NOW], self.lead[PRIOR]
        return None if now is None or not prior or prior < 0 else now - prior

    @property
    def is_over_gate(self) -> bool:
        now, prior = self.lead[NOW], self.lead[PRIOR]
        assert now is not None
        assert prior is not None
        return now * 100 > prior * 108

    @property
    def wan(self) -> int:
        """The award in 万元 before the half-year ceiling, at the shipped readings."""
        increment = self.increment
        if increment is None or self.marks.get("当月在库") == "否":
            return 0
        if self.form == "E204-1":
            is_trade = self.industry[:2] in {"51", "52"}
            return min(increment // STEP * 5, 50) if is_trade and self.is_over_gate else 0
        return min(increment // 1_000 * 2, 50) if increment >= 1_000 else 0


def amount(cell: object) -> int | None:
    if cell in ("", "—"):
        return None
    assert isinstance(cell, float)
    assert cell.is_integer()
    return int(cell)


def read_sheets(file: SampleFile) -> Iterator[Sheet]:
    form = file.path.stem[-6:]
    workbook = CalamineWorkbook.from_path(file.path)
    for name in workbook.sheet_names:
        cells: list[list[object]] = [
            list(row) for row in workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
        ]
        title = str(cells.pop(0)[0]) if cells[0][0] != IDENTITY[0] else ""
        total = cells.pop() if cells[-1][0] == "合计" else None
        headings = [str(cell) for cell in cells.pop(0)]
        yield Sheet(file, form, name, title, headings, cells, total)


def read_rows(sheet: Sheet) -> Iterator[Row]:
    items = ITEMS[sheet.form]
    marks = sheet.headings[5 + 4 * len(items) :]
    for cells in sheet.body:
        identity, figures, rest = cells[:5], cells[5 : 5 + 4 * len(items)], cells[5 + 4 * len(items) :]
        assert all(isinstance(cell, str) for cell in identity)
        quads = [tuple(amount(cell) for cell in figures[n : n + 4]) for n in range(0, len(figures), 4)]
        yield Row(
            file=sheet.file,
            form=sheet.form,
            sheet=sheet.name,
            period=PERIOD_IDS.index(sheet.file.period),
            region=str(identity[0]),
            uscc=str(identity[1]),
            name=str(identity[2]),
            industry=str(identity[3]),
            figures={item: (q[0], q[1], q[2], q[3]) for item, q in zip(items, quads, strict=True)},
            marks={key: str(cell) for key, cell in zip(marks, rest, strict=True) if cell},
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[SampleFile]:
    return write_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def sheets(files: list[SampleFile]) -> list[Sheet]:
    return [sheet for file in files for sheet in read_sheets(file)]


@pytest.fixture(scope="module")
def rows(sheets: list[Sheet]) -> list[Row]:
    return [row for sheet in sheets for row in read_rows(sheet)]


@pytest.fixture(scope="module")
def filed(rows: list[Row]) -> dict[tuple[str, str, int], Row]:
    """Every row as it was first filed, by code, form and period."""
    return {(row.uscc, row.form, row.period): row for row in rows if row.kind != CORRECTED}


@pytest.fixture(scope="module")
def labels() -> dict[str, list[str]]:
    """The codes of the firms of each special case, in their order."""
    found: dict[str, list[str]] = {}
    for firm in special_firms():
        found.setdefault(firm.profile.label, []).append(firm.uscc)
    return found


def of_2024(filed: dict[tuple[str, str, int], Row], uscc: str, form: str) -> list[Row]:
    return [filed[uscc, form, period] for period in range(11, 22) if (uscc, form, period) in filed]


def contents(files: list[SampleFile]) -> list[tuple[str, str, list[str], list[list[object]]]]:
    return [
        (file.path.name, sheet.name, sheet.headings, sheet.body)
        for file in files
        for sheet in read_sheets(file)
    ]


def test_the_same_seed_gives_the_same_cells_and_fingerprints(tmp_path: Path) -> None:
    first = write_sample(tmp_path / "first", enterprises=100)
    second = write_sample(tmp_path / "second", enterprises=100)
    assert contents(first) == contents(second)
    for one, other in zip(first, second, strict=True):
        assert one.path.read_bytes() == other.path.read_bytes()


def test_another_seed_gives_other_enterprises(tmp_path: Path) -> None:
    first = write_sample(tmp_path / "first", enterprises=80)
    second = write_sample(tmp_path / "second", enterprises=80, seed=2025)
    assert contents(first) != contents(second)


def test_the_order_of_hashes_does_not_reach_the_sample(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, app.demo.sample as s; s.write_sample(pathlib.Path(sys.argv[1]), enterprises=80)"
    )
    digests = set()
    for hash_seed in ("1", "2"):
        directory = tmp_path / hash_seed
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", script, str(directory)], check=True, env=environment)
        parts = [path.name.encode() + path.read_bytes() for path in sorted(directory.iterdir())]
        digests.add(hashlib.sha256(b"".join(parts)).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize("enterprises", [len(SPECIAL) - 1, 10_001])
def test_a_number_without_room_for_the_special_cases_or_for_names_is_refused(
    tmp_path: Path, enterprises: int
) -> None:
    with pytest.raises(ValueError, match=f"not {enterprises}"):
        write_sample(tmp_path / "none", enterprises=enterprises)
    assert not (tmp_path / "none").exists()


def test_the_special_cases_are_the_same_firms_in_a_sample_of_any_size(tmp_path: Path) -> None:
    small = write_sample(tmp_path, enterprises=len(SPECIAL))
    read = {row.uscc for file in small for sheet in read_sheets(file) for row in read_rows(sheet)}
    assert read == {firm.uscc for firm in special_firms()}


def test_each_period_and_form_has_one_file_besides_the_late_and_the_corrected_one(
    files: list[SampleFile],
) -> None:
    names = [file.path.name for file in files]
    assert len(set(names)) == len(names) == 22 * 2 + 2
    assert names[:3] == ["2023年1—2月 E204-1.xlsx", "2023年1—2月 S204-1.xlsx", "2023年3月 E204-1.xlsx"]
    assert Counter(file.period for file in files) == {
        period: 3 if period in {"2024-04", "2024-05"} else 2 for period in PERIOD_IDS
    }
    assert all(file.path.is_file() for file in files)


def test_files_come_in_the_order_of_filing_about_the_twelfth_of_the_month_after(
    files: list[SampleFile],
) -> None:
    dates = [file.filed_on for file in files]
    assert dates == sorted(dates)
    assert all(date.weekday() < 5 for date in dates)
    months = [file for file in files if LATE not in file.path.name and CORRECTED not in file.path.name]
    for file in months:
        year, month = int(file.period[:4]), int(file.period[-2:])
        assert dt.date(year + month // 12, month % 12 + 1, 12) <= file.filed_on
        assert file.filed_on.day <= 14


def test_the_last_month_is_preliminary_and_every_other_final(files: list[SampleFile]) -> None:
    assert {file.period for file in files if file.stage == "preliminary"} == {"2024-12"}
    assert {file.stage for file in files} == {"preliminary", "final"}


def test_headings_are_those_of_the_platform_with_three_kinds_of_dash(sheets: list[Sheet]) -> None:
    dashes = Counter[str]()
    for sheet in sheets:
        dash = sheet.headings[7].removeprefix(f"{ITEMS[sheet.form][0]};本年-1").removesuffix("本月")
        dashes[dash] += 1
        columns = [f"{item};{column.replace('—', dash)}" for item in ITEMS[sheet.form] for column in COLUMNS]
        assert sheet.headings[: 5 + len(columns)] == IDENTITY + columns
        assert set(sheet.headings[5 + len(columns) :]) <= set(OPTIONAL)
    assert set(dashes) == {"—", "–", "-"}
    assert dashes["—"] > dashes["–"] + dashes["-"]


def test_the_sheets_divide_the_forms_by_industry(rows: list[Row]) -> None:
    division = {"批发": "51", "零售": "52", "住宿": "61", "餐饮": "62"}
    unlike = [row for row in rows if division[row.sheet] != row.industry[:2]]
    assert {row.sheet for row in rows} == set(division)
    assert {row.form for row in rows if row.sheet in {"批发", "零售"}} == {"E204-1"}
    assert {row.form for row in rows if row.sheet in {"住宿", "餐饮"}} == {"S204-1"}
    assert {(row.industry, row.form) for row in unlike} == {("7211", "E204-1")}


def test_some_sheets_have_a_title_above_and_some_a_total_below(sheets: list[Sheet]) -> None:
    assert 0 < sum(1 for sheet in sheets if sheet.title) < len(sheets) / 2
    assert all("千元" in sheet.title for sheet in sheets if sheet.title)
    totals = [sheet for sheet in sheets if sheet.total]
    assert 0 < len(totals) < len(sheets)
    for sheet in totals:
        assert sheet.total
        retail = sheet.headings.index(f"{ITEMS[sheet.form][0]};本年-本月")
        assert amount(sheet.total[retail]) == sum(amount(cells[retail]) or 0 for cells in sheet.body)


def test_nil_is_a_blank_and_sometimes_a_dash_and_never_zero(sheets: list[Sheet]) -> None:
    nils = Counter(
        cell for sheet in sheets for cells in sheet.body for cell in cells[5:13] if isinstance(cell, str)
    )
    assert set(nils) == {"", "—"}
    assert nils[""] > nils["—"] > 100
    restaurants = [row for sheet in sheets if sheet.name == "餐饮" for row in read_rows(sheet)]
    assert {row.figures["客房收入"] for row in restaurants} == {(None, None, None, None)}


def test_about_a_thousand_enterprises_of_six_districts_have_one_name_each(rows: list[Row]) -> None:
    names = {(row.uscc, row.name) for row in rows}
    assert len(names) == len({uscc for uscc, _ in names}) == len({name for _, name in names}) == 1_000
    regions = Counter({row.uscc: row.region for row in rows if row.region != "210899"}.values())
    assert set(regions) == {"210802", "210803", "210804", "210811", "210881", "210882"}
    assert min(regions.values()) > 100


def test_codes_are_valid_but_for_three_with_a_recorded_reason(
    rows: list[Row], labels: dict[str, list[str]]
) -> None:
    invalid = {row.uscc for row in rows if not stdnum_uscc.is_valid(row.uscc)}
    assert invalid == set(labels["check-override"])
    assert len(invalid) == 3
    for row in rows:
        assert len(row.uscc) == 18
        assert row.uscc.startswith("912108")
        assert ("校验例外理由" in row.marks) == (row.uscc in invalid)
        assert (organisation_check(row.uscc[8:16]) == row.uscc[16]) == (row.uscc not in invalid)


@pytest.mark.parametrize("code", ["D2143569X", "MA0010002", "600037341"])
def test_the_organisation_check_is_that_of_the_standard(code: str) -> None:
    total = sum(int(c, 36) * w for c, w in zip(code[:8], (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    assert organisation_check(code[:8]) == {10: "X", 11: "0"}.get(11 - total % 11, str(11 - total % 11))
    if not code.startswith("MA"):
        assert organisation_check(code[:8]) == code[8]


def test_a_part_never_exceeds_its_whole_in_any_column(rows: list[Row]) -> None:
    for row in rows:
        whole, *parts = (row.figures[item] for item in ITEMS[row.form])
        for column in range(4):
            amounts = [part[column] for part in parts]
            assert max(a for a in (0, *amounts) if a is not None) <= (whole[column] or 0)


def test_turnover_holds_rooms_catering_goods_and_a_little_more(rows: list[Row]) -> None:
    for row in rows:
        if row.form == "S204-1":
            whole, *parts = (row.figures[item] for item in ITEMS[row.form])
            for column in range(4):
                amounts = [part[column] for part in parts]
                assert sum(a for a in amounts if a is not None) <= (whole[column] or 0)


def test_january_and_february_together_equal_their_cumulative_figures(
    filed: dict[tuple[str, str, int], Row],
) -> None:
    for row in filed.values():
        if row.period % 11 == 0:
            assert all((q[NOW], q[PRIOR]) == (q[NOW_YTD], q[PRIOR_YTD]) for q in row.figures.values())


def unbalanced(filed: dict[tuple[str, str, int], Row], month: int, ytd: int) -> set[tuple[str, int]]:
    found = set()
    for (uscc, form, period), row in filed.items():
        before = filed.get((uscc, form, period - 1))
        if period % 11 and before:
            for item, quad in row.figures.items():
                was = before.figures[item][ytd] or 0
                if was + (quad[month] or 0) != (quad[ytd] or 0):
                    found.add((uscc, period))
    return found


def test_cumulative_figures_balance_but_for_the_rows_made_not_to(
    filed: dict[tuple[str, str, int], Row], labels: dict[str, list[str]]
) -> None:
    first, second = labels["balance-off"]
    revised = {
        (labels[f"revised-{name}"][0], at(2024, 7))
        for name in ("below-gate", "half-year-ceiling", "above-gate", "without-effect")
    }
    assert unbalanced(filed, NOW, NOW_YTD) == revised | {
        (first, at(2023, 6)),
        (first, at(2024, 12)),
        (second, at(2023, 12)),
        (second, at(2024, 9)),
    }
    assert unbalanced(filed, PRIOR, PRIOR_YTD) == set()


def test_the_base_is_the_figure_of_the_year_before_but_for_the_rows_made_not_to_be(
    filed: dict[tuple[str, str, int], Row], labels: dict[str, list[str]]
) -> None:
    differing = set()
    for (uscc, form, period), row in filed.items():
        before = filed.get((uscc, form, period - 11))
        if before and any(quad[PRIOR] != before.figures[item][NOW] for item, quad in row.figures.items()):
            differing.add((uscc, period))
    lowered, lowered_catering = labels["base-lowered"]
    (restated,) = labels["base-restated"]
    assert differing == {
        (lowered, at(2024, 6)),
        (lowered_catering, at(2024, 10)),
        (restated, at(2024, 11)),
        (restated, at(2024, 12)),
    }


def test_each_year_has_a_few_negative_decembers_unknown_regions_and_odd_industries(
    filed: dict[tuple[str, str, int], Row], labels: dict[str, list[str]]
) -> None:
    negative = {
        (r.uscc, r.period) for r in filed.values() if min(q[NOW] or 0 for q in r.figures.values()) < 0
    }
    last, once, catering = labels["negative-december"]
    assert negative == {(last, at(2023, 12)), (once, at(2024, 12)), (catering, at(2024, 12))}
    assert filed[last, "E204-1", at(2024, 12)].increment is None
    for odd in (
        Counter(row.period // 11 for row in filed.values() if row.region == "210899"),
        Counter(row.period // 11 for row in filed.values() if row.industry == "7211"),
    ):
        assert set(odd) == {0, 1}
        assert max(odd.values()) < 10


def test_most_firms_grow_between_minus_ten_and_twenty_five_percent(
    filed: dict[tuple[str, str, int], Row],
) -> None:
    growth = [
        row.increment * 100 // (row.lead[PRIOR] or 1)
        for row in filed.values()
        if row.period == at(2024, 11) and row.increment is not None
    ]
    assert 0.6 < sum(1 for percent in growth if -10 <= percent <= 25) / len(growth) < 0.9
    assert -50 < min(growth) < -30
    assert 90 < max(growth) < 140


def test_sizes_run_from_a_few_hundred_thousand_yuan_to_a_few_firms_of_several_hundred_million(
    filed: dict[tuple[str, str, int], Row],
) -> None:
    retail = sorted(
        row.lead[NOW] or 0 for row in filed.values() if row.form == "E204-1" and row.period == at(2024, 10)
    )
    assert retail[len(retail) // 10] < 600
    assert 1_000 < retail[len(retail) // 2] < 4_000
    assert 3 <= sum(1 for amount in retail if amount > 300_000) < 20


def test_spring_festival_may_october_and_december_stand_out(filed: dict[tuple[str, str, int], Row]) -> None:
    month = Counter[int]()
    for row in filed.values():
        if row.form == "E204-1" and row.period < 11:
            month[row.period] += row.lead[NOW] or 0
    usual = sorted(month.values())[5]
    assert month[0] > 2 * usual
    assert all(month[at(2023, high)] > usual for high in (5, 10, 12))


def test_growth_of_exactly_eight_percent_and_just_over_both_occur(
    filed: dict[tuple[str, str, int], Row], labels: dict[str, list[str]]
) -> None:
    for uscc in labels["exactly-8-percent"]:
        for row in of_2024(filed, uscc, "E204-1"):
            assert (row.lead[NOW] or 0) * 100 == (row.lead[PRIOR] or 0) * 108
            assert row.wan == 0
    assert filed[labels["exactly-8-percent"][0], "E204-1", at(2024, 5)].increment == 17_120
    over, with_steps = labels["just-over-8-percent"]
    for uscc in (over, with_steps):
        for row in of_2024(filed, uscc, "E204-1"):
            assert row.is_over_gate
            assert (row.lead[NOW] or 0) * 1_000 < (row.lead[PRIOR] or 0) * 1_081
    assert filed[over, "E204-1", at(2024, 3)].wan == 0
    assert filed[with_steps, "E204-1", at(2024, 3)].wan == 5


def test_every_shape_of_the_trade_award_occurs_in_2024(filed: dict[tuple[str, str, int], Row]) -> None:
    trade = [row for row in filed.values() if row.form == "E204-1" and row.period >= 11]
    counted = [(row, row.increment) for row in trade if row.increment is not None]
    shapes = Counter[str]()
    for row, increment in counted:
        if increment < 0:
            shapes["decline"] += 1
        elif not row.is_over_gate:
            shapes["steps without the gate" if increment >= STEP else "neither"] += 1
        elif increment < STEP:
            shapes["gate without a step"] += 1
        elif increment < 2 * STEP:
            shapes["one step"] += 1
        elif increment < ROOM + STEP:
            shapes["several steps"] += 1
        else:
            shapes["over the monthly ceiling"] += 1
    assert len(shapes) == 7
    assert min(shapes.values()) >= 20
    assert any(increment == STEP for _, increment in counted)
    assert sum(1 for row in trade if row.increment is None) >= 50


def test_the_half_year_ceiling_is_reached_whole_and_in_part(
    filed: dict[tuple[str, str, int], Row], labels: dict[str, list[str]]
) -> None:
    at_ceiling = (*labels["half-year-ceiling"], *labels["half-year-ceiling-late-may"])
    for uscc in (*at_ceiling, *labels["revised-half-year-ceiling"]):
        assert [row.wan for row in of_2024(filed, uscc, "E204-1")[:5]] == [50] * 5
    (in_part,) = labels["half-year-ceiling-in-part"]
    months = [row.wan for row in of_2024(filed, in_part, "E204-1")[:5]]
    assert sum(months[:4]) < 200 < sum(months)


def test_every_shape_of_the_catering_award_occurs_in_2024(
    filed: dict[tuple[str, str, int], Row], labels: dict[str, list[str]]
) -> None:
    increments = [row.increment for row in filed.values() if row.form == "S204-1" and row.period >= 11]
    known = [increment for increment in increments if increment is not None]
    assert sum(1 for increment in known if 1_000 <= increment < 2_000) >= 20
    assert sum(1 for increment in known if 2_000 <= increment < 26_000) >= 20
    assert sum(1 for increment in known if increment >= 26_000) >= 5
    assert increments.count(None) >= 20
    band = [row.increment for row in of_2024(filed, labels["catering-band"][0], "S204-1")]
    assert {999, 1_000, 1_999} <= set(band)


def test_in_firms_with_both_forms_either_may_win_or_tie(
    filed: dict[tuple[str, str, int], Row], labels: dict[str, list[str]]
) -> None:
    def awards(label: str) -> list[tuple[int, int]]:
        (uscc,) = labels[label]
        pairs = zip(of_2024(filed, uscc, "E204-1"), of_2024(filed, uscc, "S204-1"), strict=True)
        return [(retail.wan, catering.wan) for retail, catering in pairs]

    assert all(retail > catering > 0 for retail, catering in awards("both-retail-higher"))
    assert all(catering > retail > 0 for retail, catering in awards("both-catering-higher")[1:])
    assert set(awards("both-equal")) == {(10, 10)}


def test_one_measure_may_be_eligible_while_the_other_is_undetermined(
    filed: dict[tuple[str, str, int], Row], labels: dict[str, list[str]]
) -> None:
    for label, eligible, open_form, base in (
        ("retail-eligible-catering-undetermined", "E204-1", "S204-1", None),
        ("catering-eligible-retail-undetermined", "S204-1", "E204-1", 0),
    ):
        (uscc,) = labels[label]
        unknown = of_2024(filed, uscc, open_form)
        assert len(unknown) >= 10
        for row in unknown:
            assert row.lead[PRIOR] == base
            assert filed[uscc, eligible, row.period].wan > 0


def test_about_three_percent_enter_in_2024_mostly_without_a_base(
    filed: dict[tuple[str, str, int], Row],
) -> None:
    first = Counter[tuple[str, str]]()
    for uscc, form, period in sorted(filed, key=lambda key: -key[2]):
        first[uscc, form] = period
    entered = [filed[uscc, form, period] for (uscc, form), period in first.items() if period > 0]
    assert {row.period > 10 for row in entered} == {True}
    assert 20 <= len(entered) <= 45
    bases = Counter(
        "blank" if row.lead[PRIOR] is None else "figure" if row.lead[PRIOR] else "0" for row in entered
    )
    assert bases["blank"] > len(entered) / 2
    assert bases["0"] >= 2
    assert bases["figure"] >= 2


def test_about_three_percent_leave_in_2024_and_three_of_them_are_marked_once(
    filed: dict[tuple[str, str, int], Row], labels: dict[str, list[str]]
) -> None:
    last = {(uscc, form): period for uscc, form, period in sorted(filed, key=lambda key: key[2])}
    left = [key for key, period in last.items() if period < 21]
    assert 20 <= len(left) <= 45
    out = [row for row in filed.values() if row.marks.get("当月在库") == "否"]
    assert {row.uscc for row in out} == set(labels["left-marked-out"])
    assert all(last[row.uscc, row.form] == row.period for row in out)
    marked = {(row.form, row.period) for row in filed.values() if "当月在库" in row.marks}
    assert marked == {(row.form, row.period) for row in out}
    assert all("当月在库" in row.marks for row in filed.values() if (row.form, row.period) in marked)
    earned = of_2024(filed, labels["left-marked-out"][0], "E204-1")
    assert [row.wan > 0 for row in earned] == [True] * 6 + [False]


def test_a_part_of_may_comes_late_and_only_there(rows: list[Row], labels: dict[str, list[str]]) -> None:
    late = {row.uscc for row in rows if row.kind == LATE}
    punctual = {
        row.uscc for row in rows if row.kind == "" and row.period == at(2024, 5) and row.form == "E204-1"
    }
    assert not late & punctual
    assert 20 < len(late) < len(punctual) / 10
    assert set(labels["half-year-ceiling-late-may"]) <= late
    file = next(row.file for row in rows if row.kind == LATE)
    june = next(row.file for row in rows if row.file.period == "2024-06")
    assert file.filed_on > june.filed_on


def test_corrections_are_whole_rows_with_reason_origin_and_document(
    rows: list[Row], filed: dict[tuple[str, str, int], Row], labels: dict[str, list[str]]
) -> None:
    corrected = {row.uscc: row for row in rows if row.kind == CORRECTED}
    assert set(corrected) == {
        uscc for label in labels if label.startswith("revised-") for uscc in labels[label]
    }
    assert {row.marks["更正来源"] for row in corrected.values()} == {"企业改报", "审核退回", "执法认定"}
    for row in corrected.values():
        assert {"更正原因", "更正来源", "依据文号"} <= set(row.marks)
        was = filed[row.uscc, "E204-1", at(2024, 4)]
        assert row.figures != was.figures
        for item, quad in row.figures.items():
            before = was.figures[item]
            assert (quad[NOW_YTD] or 0) - (before[NOW_YTD] or 0) == (quad[NOW] or 0) - (before[NOW] or 0)


@pytest.mark.parametrize(
    ("label", "before", "after"),
    [
        ("revised-below-gate", 10, 0),
        ("revised-half-year-ceiling", 50, 0),
        ("revised-above-gate", 0, 5),
        ("revised-base-filled", 0, 5),
        ("revised-without-effect", 0, 0),
    ],
)
def test_a_correction_moves_the_award_of_april(
    rows: list[Row], labels: dict[str, list[str]], label: str, before: int, after: int
) -> None:
    versions = [row for row in rows if row.uscc in labels[label] and row.period == at(2024, 4)]
    assert [row.wan for row in versions] == [before, after]
