"""Copies of the shipped document with other limits: assessed, explained, listed, summed, replayed."""

from collections.abc import Sequence
from typing import Any

import pytest

from app.ledger.ledger import Ledger
from app.use_cases.audit.replaying import ReplayRange, replay
from app.use_cases.policies import publishing
from app.use_cases.upkeep.rebuilding import rebuild
from tests.api.rows import catering, code, refused, trade
from tests.builders import WANYUAN, edited, loaded, text_with_limits
from tests.databases import on_one_database
from tests.ledger.history import RandomYear, publish_whole, read_model_rows, with_limits
from tests.office import Office

POLICY = "yingkou-2024-14-limits"
QUARTERS = (("month", 500_000), ("quarter", 900_000))
THREE = (("month", 500_000), ("half-year", 1_200_000), ("year", 1_500_000))
NONE: tuple[tuple[str, int], ...] = ()
MONTHS = ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06", "2024-07")

EXPECTED: dict[str, tuple[Sequence[tuple[str, int]], dict[str, list[int]]]] = {
    "quarters": (QUARTERS, {"2024Q1": [50, 40], "2024Q2": [50, 40, 0], "2024Q3": [50]}),
    "three": (THREE, {"2024": [50, 50, 20, 0, 0, 30]}),
    "none": (NONE, {"2024": [80, 80, 80, 80, 80, 80]}),
}
"""By the limits: what each period of an enterprise is assessed to, 万元, if each month gives 80万元."""


@pytest.fixture(params=list(EXPECTED))
def case(request: pytest.FixtureRequest, office: Office) -> str:
    """An office that published a policy with other limits, and six months of two enterprises."""
    name = str(request.param)
    limits, _ = EXPECTED[name]
    office.file(*(trade(260_000, period=period) for period in MONTHS[:3]))
    publish_whole(office.ledger, with_limits(*limits))
    office.file(*(trade(260_000, period=period) for period in MONTHS[3:]))
    office.file(catering(3_000, number=1001, region_code="210803"))
    return name


def amounts(office: Office, window: str) -> list[int]:
    return [period["assessed_fen"] // WANYUAN for period in office.entitlement(code(1000), window)["periods"]]


@on_one_database
def test_each_account_comes_to_what_the_limits_leave(office: Office, case: str) -> None:
    _, expected = EXPECTED[case]
    assert {window: amounts(office, window) for window in expected} == expected
    for window in expected:
        account = office.entitlement(code(1000), window)
        assert account["window"] == window
        assert account["policy"]["id"] == POLICY
        for limit in account["limits"]:
            within = [
                period["assessed_fen"]
                for period in account["periods"]
                if holds(limit["window"], period["period"])
            ]
            assert limit["used_fen"] == sum(within) <= limit["ceiling_fen"]


def holds(window: str, period: str) -> bool:
    """Whether a window of this test holds a period, by a table."""
    quarters = {"2024Q1": MONTHS[:2], "2024Q2": MONTHS[2:5], "2024Q3": MONTHS[5:]}
    halves = {"2024H1": MONTHS[:5], "2024H2": MONTHS[5:]}
    return period in {**quarters, **halves, "2024": MONTHS}.get(window, (window,))


@on_one_database
def test_the_ceiling_and_what_is_left_are_those_of_the_whole_account(office: Office, case: str) -> None:
    if case == "none":
        account = office.entitlement(code(1000), "2024")
        assert (account["ceiling_fen"], account["headroom_fen"], account["limits"]) == (None, None, [])
        return
    window, ceiling = ("2024Q2", 90) if case == "quarters" else ("2024", 150)
    account = office.entitlement(code(1000), window)
    assert account["ceiling_fen"] == ceiling * WANYUAN
    assert account["headroom_fen"] == account["ceiling_fen"] - account["assessed_fen"]
    ids = {"quarters": {"month-ceiling", "quarter-ceiling"}}.get(
        case, {"month-ceiling", "half-year-ceiling", "year-ceiling"}
    )
    assert {limit["id"] for limit in account["limits"]} == ids


@on_one_database
def test_a_cut_is_explained_by_its_own_limit(office: Office, case: str) -> None:
    window, period, sentence = {
        "quarters": (
            "2024Q2",
            "2024-05",
            "2024年第二季度此前各期已测算50万元，本期50万元，合计超过季度累计上限90万元；本期按剩余额度40万元计，核减10万元。",
        ),
        "three": (
            "2024",
            "2024-07",
            "2024年此前各期已测算120万元，本期50万元，合计超过年度累计上限150万元；本期按剩余额度30万元计，核减20万元。",
        ),
        "none": ("2024", "2024-05", "每满1000万元按5万元测算，计80万元"),
    }[case]
    explained = office.read(f"/v1/entitlements/{code(1000)}/{window}/{period}")
    sentences = [step["sentence"] for step in explained["steps"]]
    assert sentence in "".join(sentences)
    assert explained["assessed_fen"] == next(
        row["assessed_fen"]
        for row in office.entitlement(code(1000), window)["periods"]
        if row["period"] == period
    )


def test_the_list_and_the_sums_of_each_window_are_those_of_its_accounts(office: Office, case: str) -> None:
    _, expected = EXPECTED[case]
    for window, of_enterprise in expected.items():
        listed = office.read("/v1/entitlements", window=window)
        by_code = {item["uscc"]: item for item in listed["items"]}
        assert by_code[code(1000)]["assessed_fen"] == sum(of_enterprise) * WANYUAN
        assert by_code[code(1000)]["periods"] == len(of_enterprise)
        assert listed["assessed_fen"] == sum(item["assessed_fen"] for item in listed["items"])
        assert listed["total"] == len(listed["items"])
        for dimension in ("period", "measure", "region_code", "industry"):
            summary = office.read("/v1/summary", window=window, group_by=dimension)
            assert summary["assessed_fen"] == listed["assessed_fen"]
            cut: dict[str, int] = dict.fromkeys([limit for limit, _ in _ids(EXPECTED[case][0])], 0)
            for uscc in by_code:
                for period in office.entitlement(uscc, window)["periods"]:
                    for limit in period["bound_by"]:
                        cut[limit] += 1
            assert _summed(group["capped"] for group in summary["groups"]) == cut


def _ids(limits: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(f"{per}-ceiling", yuan) for per, yuan in limits]


def _summed(counts: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for cuts in counts:
        for limit, count in cuts.items():
            total[limit] = total.get(limit, 0) + count
    return total


def test_a_group_of_which_the_limits_leave_nothing_is_in_the_summary_all_the_same(office: Office) -> None:
    publish_whole(office.ledger, with_limits(("quarter", 800_000)))
    office.file(trade(260_000, period="2024-04"))
    office.file(catering(4_000, period="2024-05"))
    summary = office.read("/v1/summary", window="2024Q2", group_by="measure")
    assert [(group["key"], group["assessed_fen"], group["capped"]) for group in summary["groups"]] == [
        ("catering-increment", 0, {"quarter-ceiling": 1}),
        ("retail-growth", 80 * WANYUAN, {"quarter-ceiling": 0}),
    ]
    assert [(group["month_ceiling"], group["half_year_ceiling"]) for group in summary["groups"]] == [
        (None, None)
    ] * 2


@on_one_database
def test_a_window_of_another_length_has_no_accounts_of_the_policy(office: Office, case: str) -> None:
    other = "2024H1"
    account = office.entitlement(code(1000), other)
    assert (account["policy"], account["periods"], account["assessed_fen"]) == (None, [], 0)
    listed = office.read("/v1/entitlements", window=other)
    assert {item["uscc"] for item in listed["items"]} == {code(1000), code(1001)}
    assert listed["assessed_fen"] == 0
    assert case in EXPECTED


@on_one_database
@pytest.mark.parametrize("path", ["entitlements", "summary", "audit/red-flags", "audit/red-flags/groups"])
def test_a_window_that_no_policy_has_accounts_of_is_refused_with_the_known_ones(
    office: Office, path: str
) -> None:
    office.publish()
    office.file(trade(260_000))
    more = {"group_by": "period"} if path == "summary" else {}
    office.read(f"/v1/{path}", window="2024H1", **more)
    body = refused(office.get(f"/v1/{path}", window="2024Q1", **more), 400, "invalid-request")
    assert "没有“2024Q1”，已知的有：2024H1（2024年上半年）、2024H2（2024年下半年）" in body["detail"]
    publish_whole(office.ledger, with_limits(*QUARTERS))
    office.read(f"/v1/{path}", window="2024Q1", **more)
    body = refused(office.get(f"/v1/{path}", window="2024", **more), 400, "invalid-request")
    assert "2024Q1（2024年第一季度）、2024H1（2024年上半年）、2024Q2（2024年第二季度）" in body["detail"]


@on_one_database
def test_accounts_and_differences_of_such_a_window_are_refused_too(office: Office) -> None:
    office.publish()
    office.file(trade(260_000))
    for path, params in (
        (f"/v1/entitlements/{code(1000)}/2024Q1", {}),
        (f"/v1/entitlements/{code(1000)}/2024Q1/2024-03", {}),
        ("/v1/audit/differences", {"from": "0", "to": "1", "window": "2024Q1"}),
    ):
        refused(office.get(path, **params), 400, "invalid-request")


@on_one_database
def test_what_was_recorded_replays_and_the_read_models_are_made_again_alike(
    office: Office, case: str
) -> None:
    office.file(trade(107_000, period="2024-03", reason="更正", origin="enterprise"))
    office.withdraw(trade(260_000, period="2024-05"), reason="登记有误", origin="returned")
    report = replay(office.ledger, ReplayRange())
    assert (report.found.mismatches, report.found.row_differences) == ([], [])
    assert report.is_clean
    before = read_model_rows(office.ledger)
    rebuild(office.ledger)
    assert read_model_rows(office.ledger) == before
    assert case in EXPECTED


def test_a_policy_of_several_years_has_one_account_of_all_of_them(office: Office) -> None:
    text = edited(
        text_with_limits(("month", 500_000), ("policy", 1_200_000), policy_id=POLICY),
        ('last: "2024-12"', 'last: "2025-06"'),
    )
    office.file(trade(260_000, period="2024-11"), trade(260_000, period="2025-03"))
    publish_whole(office.ledger, loaded(text))
    office.file(trade(260_000, period="2024-12"))
    assert amounts(office, "2024~2025") == [50, 50, 20]
    account = office.entitlement(code(1000), "2024~2025")
    assert (account["ceiling_fen"], account["headroom_fen"]) == (120 * WANYUAN, 0)
    assert [limit["used_fen"] for limit in account["limits"] if limit["per"] == "policy"] == [120 * WANYUAN]
    assert office.read(f"/v1/policies/{POLICY}")["first_window"] == "2024~2025"
    listed = office.read("/v1/entitlements", window="2024~2025")
    assert [(item["assessed_fen"], item["periods"]) for item in listed["items"]] == [(120 * WANYUAN, 3)]
    explained = office.read(f"/v1/entitlements/{code(1000)}/2024~2025/2025-03")
    assert "2024—2025年此前各期已测算100万元" in "".join(step["sentence"] for step in explained["steps"])
    office.withdraw(trade(260_000, period="2024-11"), reason="登记有误", origin="returned")
    assert amounts(office, "2024~2025") == [50, 50]
    assert replay(office.ledger, ReplayRange()).is_clean
    before = read_model_rows(office.ledger)
    rebuild(office.ledger)
    assert read_model_rows(office.ledger) == before


@pytest.mark.parametrize(
    ("host", "seed"),
    [("sqlite", 0), ("sqlite", 1), ("sqlite", 2), ("postgresql", 0)],
    indirect=["host"],
)
def test_versions_with_accounts_of_other_lengths_follow_each_other(
    ledger: Ledger, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-years, then quarters, then years, then half-years again, while filings go on."""
    monkeypatch.setattr(publishing, "STREAMS_PER_CHUNK", 2)
    year = RandomYear(seed)
    versions = [
        with_limits(("month", 500_000), ("half-year", 1_000_000)),
        with_limits(*QUARTERS),
        with_limits(*THREE),
        with_limits(),
        with_limits(("month", 500_000), ("half-year", 1_000_000)),
    ]
    for version in versions:
        year.play(ledger, 5, published_at=())
        publish_whole(ledger, version)
    year.play(ledger, 5, published_at=())
    report = replay(ledger, ReplayRange())
    assert (report.found.mismatches, report.found.row_differences) == ([], [])
    before = read_model_rows(ledger)
    rebuild(ledger)
    assert read_model_rows(ledger) == before
