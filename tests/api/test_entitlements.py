"""What is answered about entitlements: accounts, explanations, the list, the summary, and the past."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.api.rows import CATERING, STEP_FEN, TRADE, catering, code, events, refused, trade
from tests.databases import on_one_database
from tests.office import NewOffice, Office, TestClock, unchanged

WINDOW = "2024H1"
POLICY = "yingkou-2024-14"
MONTH_CEILING_FEN = 50_000_000
HALF_YEAR_CEILING_FEN = 200_000_000
MONTHS = ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06")
FORM_OF_MEASURE = {"retail-growth": TRADE, "catering-increment": CATERING}
DIMENSIONS = ("region_code", "industry", "period", "measure")
READS = (
    f"/v1/entitlements/{code(1000)}/{WINDOW}",
    f"/v1/entitlements/{code(1000)}/{WINDOW}/2024-03",
    f"/v1/entitlements?window={WINDOW}",
    f"/v1/summary?window={WINDOW}&group_by=measure",
)

FINAL: list[dict[str, Any]] = [
    trade(110_000, number=1),
    trade(250_000, number=2, region_code="210803", industry_code="5112"),
    trade(107_900, number=3),
    trade(110_000, None, number=4, region_code="210804"),
    *(trade(200_000, number=5, period=period, region_code="210881") for period in MONTHS),
    catering(5_300, number=6, region_code="210803"),
    trade(130_000, number=7, period="2024-04", name="酒店七", industry_code="5212"),
    catering(7_000, number=7, period="2024-04", name="酒店七", region_code="210811"),
    trade(112_000, number=7, period="2024-05", name="酒店七", industry_code="5212"),
    catering(7_000, number=7, period="2024-05", name="酒店七", region_code="210811"),
    trade(120_000, number=8, in_database=False, industry_code="5299"),
]
PRELIMINARY: list[dict[str, Any]] = [
    trade(140_000, number=1, period="2024-04"),
    catering(3_500, number=9, period="2024-06", industry_code="6110", region_code="210882"),
]


def stock(office: Office) -> Office:
    """Nine enterprises with every outcome: none, undetermined, awarded, cut by each ceiling, both forms."""
    office.publish()
    office.file(*FINAL)
    office.file(*PRELIMINARY, stage="preliminary")
    return office


@pytest.fixture(scope="module")
def shared_city(new_office: NewOffice) -> Office:
    """These enterprises, for all tests."""
    return stock(new_office(TestClock()))


@pytest.fixture
def city(shared_city: Office) -> Iterator[Office]:
    """The same, to read."""
    with unchanged(shared_city) as office:
        yield office


@pytest.fixture(scope="module")
def city_accounts(shared_city: Office) -> dict[str, Any]:
    """Every account of it by code, one read each."""
    return accounts(shared_city)


@pytest.fixture
def changing_city(office: Office) -> Office:
    """The same, to file more."""
    return stock(office)


def codes() -> list[str]:
    return sorted({row["uscc"] for row in FINAL + PRELIMINARY})


def accounts(office: Office, **params: Any) -> dict[str, Any]:
    """Every account by code, one read each."""
    return {uscc: office.entitlement(uscc, **params) for uscc in codes()}


def listing(office: Office, **params: Any) -> Any:
    return office.read("/v1/entitlements", window=WINDOW, **params)


def listed(office: Office, **params: Any) -> list[str]:
    return [item["uscc"] for item in listing(office, **params)["items"]]


def row_of(uscc: str, period: str, form: str) -> dict[str, Any]:
    (found,) = (
        row
        for row in FINAL + PRELIMINARY
        if (row["uscc"], row["period"], row["form"]) == (uscc, period, form)
    )
    return found


def test_an_account_is_answered_as_the_contract_shows_it(office: Office) -> None:
    office.publish()
    office.file(trade(110_000, name="某某商贸有限公司"))
    answer = office.entitlement(code(1000))
    sha256 = answer["policy"].pop("sha256")
    assert len(sha256) == 64
    assert sha256 == office.read(f"/v1/policies/{POLICY}")["sha256"]
    assert answer == {
        "uscc": code(1000),
        "name": "某某商贸有限公司",
        "region_code": "210802",
        "policy": {"id": POLICY, "version": 1},
        "window": WINDOW,
        "ceiling_fen": 200_000_000,
        "assessed_fen": 5_000_000,
        "open_fen": 5_000_000,
        "preliminary_fen": 0,
        "headroom_fen": 195_000_000,
        "limits": [
            *(
                {
                    "id": "month-ceiling",
                    "per": "month",
                    "window": period,
                    "ceiling_fen": 50_000_000,
                    "used_fen": 5_000_000 if period == "2024-03" else 0,
                }
                for period in ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06")
            ),
            {
                "id": "half-year-ceiling",
                "per": "half-year",
                "window": WINDOW,
                "ceiling_fen": 200_000_000,
                "used_fen": 5_000_000,
            },
        ],
        "periods": [
            {
                "period": "2024-03",
                "stage": "final",
                "status": "eligible",
                "measure": "retail-growth",
                "measures": [{"measure": "retail-growth", "status": "eligible", "rule_fen": 5_000_000}],
                "rule_fen": 5_000_000,
                "selected_fen": 5_000_000,
                "assessed_fen": 5_000_000,
                "open_fen": 5_000_000,
                "bound_by": [],
                "open_readings": ["step-amount"],
                "position": 3,
            }
        ],
        "disputed": [],
        "as_of": {
            "position": 3,
            "recorded_at": "2024-04-10T08:00:00Z",
            "checkpoint": None,
            "day_in_progress": False,
        },
    }


@on_one_database
def test_a_period_is_explained_with_the_object_of_the_account_and_its_steps(office: Office) -> None:
    office.publish()
    office.file(trade(250_000), catering(3_000))
    (period,) = office.entitlement(code(1000))["periods"]
    answer = office.read(f"/v1/entitlements/{code(1000)}/{WINDOW}/2024-03")
    assert {name: answer[name] for name in period} == period
    assert answer["figures_withheld"] is False
    steps = answer["steps"]
    assert [step["n"] for step in steps] == list(range(1, len(steps) + 1))
    assert [(step["rule"], step["measure"], step["output"]) for step in steps] == [
        ("in-database", "retail-growth", None),
        ("industry", "retail-growth", None),
        ("growth-over", "retail-growth", None),
        ("whole-steps", "retail-growth", 15 * STEP_FEN),
        ("month-ceiling", "retail-growth", MONTH_CEILING_FEN),
        ("in-database", "catering-increment", None),
        ("industry", "catering-increment", None),
        ("band", "catering-increment", 2_000_000),
        ("highest", None, MONTH_CEILING_FEN),
    ]
    for step in steps:
        assert step.keys() >= {"cite", "reading", "inputs", "met", "shortfall_fen", "sentence"}
        assert step["cite"] or step["reading"]
        assert step["sentence"].rstrip("。)")


@on_one_database
def test_an_unmet_condition_is_a_step_with_its_shortfall(office: Office) -> None:
    office.publish()
    office.file(trade(107_900))
    answer = office.read(f"/v1/entitlements/{code(1000)}/{WINDOW}/2024-03")
    last = answer["steps"][-1]
    assert (last["rule"], last["met"], last["cite"]) == ("growth-over", False, "14.1")
    assert last["inputs"] == {
        "current_fen": 10_790_000_000,
        "prior_year_fen": 10_000_000_000,
        "over_bp": 800,
    }
    assert last["shortfall_fen"] == 10_000_000
    assert "同比增长7.9%，不高于8%" in last["sentence"]
    assert "零售额须高于10800万元，尚差10万元" in last["sentence"]


def test_name_and_region_are_those_of_the_latest_period_and_trade_comes_first(office: Office) -> None:
    office.file(
        trade(1, period="2024-04", name="四月", region_code="210803"),
        catering(1, period="2024-05", name="五月餐饮", region_code="210804"),
        trade(1, period="2024-05", name="五月零售", region_code="210811"),
        trade(1, period="2024-03", name="三月", region_code="210881"),
    )
    account = office.entitlement(code(1000))
    assert (account["name"], account["region_code"]) == ("五月零售", "210811")
    office.withdraw(trade(0, period="2024-05"), reason="登记有误")
    account = office.entitlement(code(1000))
    assert (account["name"], account["region_code"]) == ("五月餐饮", "210804")


def test_before_a_policy_is_published_an_account_is_there_with_nothing_assessed(office: Office) -> None:
    office.file(trade(250_000))
    account = office.entitlement(code(1000))
    assert account["policy"] is None
    assert account["periods"] == []
    assert (account["assessed_fen"], account["open_fen"], account["preliminary_fen"]) == (0, 0, 0)
    refused(office.get(f"/v1/entitlements/{code(1000)}/{WINDOW}/2024-03"), 404, "not-found")
    page = listing(office)
    assert [(item["uscc"], item["assessed_fen"], item["periods"]) for item in page["items"]] == [
        (code(1000), 0, 0)
    ]
    assert (page["total"], page["assessed_fen"]) == (1, 0)
    assert listed(office, status="eligible") == []
    summary = office.read("/v1/summary", window=WINDOW, group_by="period")
    assert (summary["groups"], summary["assessed_fen"]) == ([], 0)


def test_the_list_says_of_each_account_what_the_account_says(
    city: Office, city_accounts: dict[str, Any]
) -> None:
    page = listing(city)
    found = city_accounts
    names = (
        "uscc",
        "name",
        "region_code",
        "assessed_fen",
        "open_fen",
        "preliminary_fen",
        "headroom_fen",
        "disputed",
    )
    expected = {
        uscc: {**{name: account[name] for name in names}, "periods": len(account["periods"])}
        for uscc, account in found.items()
    }
    assert {item["uscc"]: item for item in page["items"]} == expected
    assert len(page["items"]) == page["total"] == 9
    assert page["assessed_fen"] == sum(account["assessed_fen"] for account in found.values())
    assert page["next_cursor"] is None
    assert page["as_of"] == found[code(1)]["as_of"]


FILTERS: list[dict[str, Any]] = [
    {"region_code": "210803"},
    {"region_code": "210882"},
    {"measure": "retail-growth"},
    {"measure": "catering-increment"},
    {"measure": "retail-growth", "region_code": "210881"},
    {"status": "eligible"},
    {"status": "undetermined"},
    {"status": "not-eligible"},
    {"stage": "preliminary"},
    {"stage": "final"},
    {"stage": "final", "status": "eligible", "measure": "retail-growth"},
    {"stage": "preliminary", "measure": "catering-increment"},
    {"min_assessed_fen": 1},
    {"min_assessed_fen": 6_000_000},
    {"min_assessed_fen": 6_000_001},
    {"q": "酒店"},
    {"q": "示例商贸"},
    {"q": code(6)},
    {"q": code(6)[:14]},
    {"q": "%"},
    {"q": "_"},
    {"industry": "52"},
    {"industry": "5"},
    {"industry": "6110"},
]


def fits(account: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether an account belongs in the list, told from its own answer and the rows that were filed."""
    of_period = {name: wanted[name] for name in ("measure", "status", "stage") if name in wanted}
    last = max(row["period"] for row in FINAL + PRELIMINARY if row["uscc"] == account["uscc"])
    latest = [row for row in FINAL + PRELIMINARY if (row["uscc"], row["period"]) == (account["uscc"], last)]
    industry = min(latest, key=lambda row: row["form"])["industry_code"]
    return (
        account["region_code"] == wanted.get("region_code", account["region_code"])
        and account["assessed_fen"] >= wanted.get("min_assessed_fen", 0)
        and industry.startswith(wanted.get("industry", ""))
        and (
            account["name"].startswith(wanted.get("q", "")) or account["uscc"].startswith(wanted.get("q", ""))
        )
        and any(
            all(period[name] == value for name, value in of_period.items()) for period in account["periods"]
        )
    )


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_a_filter_keeps_the_accounts_that_it_describes(
    city: Office, city_accounts: dict[str, Any], wanted: dict[str, Any]
) -> None:
    expected = {uscc: account for uscc, account in city_accounts.items() if fits(account, wanted)}
    page = listing(city, **wanted, totals="true")
    assert sorted(item["uscc"] for item in page["items"]) == sorted(expected)
    assert page["total"] == len(expected)
    assert page["assessed_fen"] == sum(account["assessed_fen"] for account in expected.values())
    kept_ready = wanted.keys() <= {"region_code", "measure"}
    bare = listing(city, **wanted)
    assert bare["items"] == page["items"]
    assert (bare["total"] is None, bare["assessed_fen"] is None) == (not kept_ready, not kept_ready)
    if kept_ready:
        assert (bare["total"], bare["assessed_fen"]) == (page["total"], page["assessed_fen"])


def test_the_filters_of_a_period_are_met_by_one_period_together(office: Office) -> None:
    office.publish()
    office.file(trade(110_000, period="2024-03"))
    office.file(trade(100_000, period="2024-04"), stage="preliminary")
    assert listed(office, stage="preliminary", status="eligible") == []
    assert listed(office, stage="final", status="eligible") == [code(1000)]


def test_the_list_is_sorted_as_asked_ties_by_the_code_and_the_lowest_first_is_its_reverse(
    city: Office, city_accounts: dict[str, Any]
) -> None:
    amounts = {uscc: account["assessed_fen"] for uscc, account in city_accounts.items()}
    assert len(set(amounts.values())) < len(amounts)
    falling = sorted(amounts, key=lambda uscc: (-amounts[uscc], uscc))
    assert listed(city) == listed(city, sort="-assessed_fen") == falling
    assert listed(city, sort="assessed_fen") == falling[::-1]
    assert listed(city, sort="uscc") == sorted(amounts)


def pages(office: Office, **params: Any) -> Iterable[Any]:
    page = listing(office, **params)
    yield page
    while page["next_cursor"] is not None:
        page = listing(office, cursor=page["next_cursor"], **params)
        yield page


@pytest.mark.parametrize("sort", ["-assessed_fen", "assessed_fen", "uscc"])
@pytest.mark.parametrize("limit", [1, 2, 9, 500])
def test_the_pages_hold_every_account_once_in_the_order_of_the_whole(
    city: Office, sort: str, limit: int
) -> None:
    whole = listing(city, sort=sort)["items"]
    found = list(pages(city, sort=sort, limit=limit))
    assert [item for page in found for item in page["items"]] == whole
    assert all(len(page["items"]) == limit for page in found[:-1])
    assert {page["total"] for page in found} == {9}


@pytest.mark.parametrize("limit", [1, 2])
def test_the_pages_before_a_policy_hold_every_enterprise_once(office: Office, limit: int) -> None:
    office.file(*FINAL)
    found = [item["uscc"] for page in pages(office, limit=limit) for item in page["items"]]
    assert found == sorted({row["uscc"] for row in FINAL})


def test_the_pages_keep_the_position_of_the_first_while_others_file(changing_city: Office) -> None:
    sorts = ("-assessed_fen", "assessed_fen", "uscc")
    whole = {sort: listing(changing_city, sort=sort) for sort in sorts}
    pages = {sort: listing(changing_city, sort=sort, limit=2) for sort in sorts}
    found = {sort: list(page["items"]) for sort, page in pages.items()}
    number = 100
    while any(page["next_cursor"] is not None for page in pages.values()):
        changing_city.file(trade(200_000, number=number), trade(100_000, number=number + 1))
        changing_city.file(trade(190_000, number=1, reason="更正"))
        changing_city.withdraw(FINAL[number % 4], reason="登记有误")
        number += 10
        for sort, page in pages.items():
            following = listing(changing_city, sort=sort, limit=2, cursor=page["next_cursor"])
            pages[sort] = following
            found[sort] += following["items"]
            for name in ("as_of", "total", "assessed_fen"):
                assert following[name] == whole[sort][name], (sort, name)
    assert found == {sort: listed["items"] for sort, listed in whole.items()}


@on_one_database
def test_the_pages_of_the_past_stay_in_the_past(changing_city: Office) -> None:
    changing_city.withdraw(FINAL[0], reason="登记有误")
    position = events(changing_city)[-1]["position"]
    changing_city.file(*(trade(200_000, number=number) for number in range(100, 110)))
    found = list(pages(changing_city, limit=3, position=position))
    assert [item for page in found for item in page["items"]] == listing(changing_city, position=position)[
        "items"
    ]
    assert {page["as_of"]["position"] for page in found} == {position}


@on_one_database
@pytest.mark.parametrize("cursor", ["", "x", "%%%", "bm90aGluZw", "WzEsMiwiYSJd", "A" * 200, "\u00e9"])
def test_a_cursor_that_is_not_ours_is_a_bad_query(city: Office, cursor: str) -> None:
    refused(city.get("/v1/entitlements", window=WINDOW, cursor=cursor), 400, "invalid-request")


@pytest.mark.parametrize(
    "bad",
    [
        {"limit": 0},
        {"limit": 501},
        {"limit": "many"},
        {"sort": "name"},
        {"status": "maybe"},
        {"stage": "draft"},
        {"min_assessed_fen": -1},
        {"min_assessed_fen": "1.5"},
        {"min_assessed_fen": 10**30},
        {"industry": "retail"},
        {"q": "\0"},
        {"totals": "perhaps"},
    ],
    ids=str,
)
def test_a_bad_value_of_the_list_is_a_bad_query(idle: Office, bad: dict[str, Any]) -> None:
    refused(idle.get("/v1/entitlements", window=WINDOW, **bad), 400, "invalid-request")


def test_the_list_and_the_summary_need_a_window(idle: Office) -> None:
    refused(idle.get("/v1/entitlements"), 400, "invalid-request")
    refused(idle.get("/v1/summary", group_by="period"), 400, "invalid-request")
    refused(idle.get("/v1/summary", window=WINDOW), 400, "invalid-request")
    refused(idle.get("/v1/summary", window=WINDOW, group_by="name"), 400, "invalid-request")


@pytest.mark.parametrize(
    "window", ["24", "2024h1", "2024H3", "2024H1 ", "1999H1", "2024-01", "2024Q5", "2024-01~06"]
)
def test_a_window_that_is_none_is_a_bad_request_everywhere(idle: Office, window: str) -> None:
    for path, params in (
        (f"/v1/entitlements/{code(1000)}/{window}", {}),
        (f"/v1/entitlements/{code(1000)}/{window}/2024-03", {}),
        ("/v1/entitlements", {"window": window}),
        ("/v1/summary", {"window": window, "group_by": "period"}),
    ):
        refused(idle.get(path, **params), 400, "window-invalid")


@pytest.mark.parametrize("uscc", ["91210802", "91210802ma0010002c", "91210802MA0010002C1", "一" * 18])
def test_a_code_that_is_none_is_a_bad_path(idle: Office, uscc: str) -> None:
    refused(idle.get(f"/v1/entitlements/{uscc}/{WINDOW}"), 400, "invalid-request")
    refused(idle.get(f"/v1/entitlements/{uscc}/{WINDOW}/2024-03"), 400, "invalid-request")


@on_one_database
@pytest.mark.parametrize("period", ["2024-01", "2024-13", "2024", "三月"])
def test_a_period_that_is_none_is_a_bad_path(city: Office, period: str) -> None:
    refused(city.get(f"/v1/entitlements/{code(1)}/{WINDOW}/{period}"), 400, "period-invalid")


@on_one_database
def test_what_is_not_there_is_404(city: Office) -> None:
    for path in (
        f"/v1/entitlements/{code(99)}/{WINDOW}",
        f"/v1/entitlements/{code(99)}/{WINDOW}/2024-03",
        f"/v1/entitlements/{code(1)}/2024H2",
        f"/v1/entitlements/{code(1)}/{WINDOW}/2024-06",
        f"/v1/entitlements/{code(1)}/{WINDOW}/2024-07",
    ):
        refused(city.get(path), 404, "not-found")


def summed(found: dict[str, Any], dimension: str) -> dict[str, dict[str, Any]]:
    """The groups of the summary, added up from single accounts."""
    groups: dict[str, dict[str, Any]] = {}
    earning: dict[str, set[str]] = {}
    for uscc, account in found.items():
        for period in account["periods"]:
            if period["measure"] is None:
                continue
            row = row_of(uscc, period["period"], FORM_OF_MEASURE[period["measure"]])
            key = {
                "region_code": row["region_code"],
                "industry": row["industry_code"][:2],
                "period": period["period"],
                "measure": period["measure"],
            }[dimension]
            names = ("assessed_fen", "open_fen", "preliminary_fen", "month_ceiling", "half_year_ceiling")
            capped = {"month-ceiling": 0, "half-year-ceiling": 0}
            group = groups.setdefault(key, {"key": key, **dict.fromkeys(names, 0), "capped": capped})
            for limit in period["bound_by"]:
                group["capped"][limit] += 1
            group["assessed_fen"] += period["assessed_fen"]
            group["open_fen"] += period["open_fen"]
            group["preliminary_fen"] += period["assessed_fen"] if period["stage"] == "preliminary" else 0
            group["month_ceiling"] += "month-ceiling" in period["bound_by"]
            group["half_year_ceiling"] += "half-year-ceiling" in period["bound_by"]
            earning.setdefault(key, set()).update([uscc] if period["assessed_fen"] > 0 else [])
    return {key: {**group, "enterprises": len(earning[key])} for key, group in groups.items()}


def check_summary(office: Office, found: dict[str, Any], dimension: str, **params: Any) -> Any:
    summary = office.read("/v1/summary", window=WINDOW, group_by=dimension, **params)
    assert {group["key"]: group for group in summary["groups"]} == summed(found, dimension)
    assert len({group["key"] for group in summary["groups"]}) == len(summary["groups"])
    for name in ("assessed_fen", "open_fen", "preliminary_fen"):
        assert summary[name] == sum(account[name] for account in found.values())
    return summary


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_summary_adds_up_the_single_accounts(
    city: Office, city_accounts: dict[str, Any], dimension: str
) -> None:
    summary = check_summary(city, city_accounts, dimension)
    assert sum(group["month_ceiling"] for group in summary["groups"]) == 1
    assert sum(group["half_year_ceiling"] for group in summary["groups"]) == 1


def test_the_summary_follows_corrections_and_withdrawals(changing_city: Office) -> None:
    before = {
        dimension: changing_city.read("/v1/summary", window=WINDOW, group_by=dimension)
        for dimension in DIMENSIONS
    }
    changing_city.withdraw(FINAL[1], reason="登记有误")
    changing_city.file(*(row | {"figures": PRELIMINARY[0]["figures"], "reason": "更正"} for row in FINAL[:1]))
    changing_city.file(trade(107_000, number=5, region_code="210881", reason="更正"))
    changing_city.file(PRELIMINARY[0])
    now = accounts(changing_city)
    position = before["measure"]["as_of"]["position"]
    then = accounts(changing_city, position=position)
    for dimension in DIMENSIONS:
        after = check_summary(changing_city, now, dimension)
        assert after["groups"] != before[dimension]["groups"], dimension
        assert check_summary(changing_city, then, dimension, position=position) == before[dimension]
        assert after["as_of"]["position"] > position


@on_one_database
def test_the_half_years_are_summed_apart(changing_city: Office) -> None:
    before = changing_city.read("/v1/summary", window=WINDOW, group_by="measure")["groups"]
    changing_city.file(trade(150_000, number=1, period="2024-07"))
    assert changing_city.read("/v1/summary", window=WINDOW, group_by="measure")["groups"] == before
    second = changing_city.read("/v1/summary", window="2024H2", group_by="measure")
    assert [(group["key"], group["assessed_fen"]) for group in second["groups"]] == [
        ("retail-growth", 5 * STEP_FEN)
    ]
    assert listing(changing_city)["total"] == 9
    assert changing_city.read("/v1/entitlements", window="2024H2")["total"] == 1


@pytest.fixture(scope="module")
def shared_history(new_office: NewOffice) -> Office:
    """A policy (1), a filing (2-3) in April, a batch of two (4-7) in May, a revision (8-9) in June."""
    clock = TestClock()
    office = new_office(clock)
    office.publish()
    office.file(trade(110_000))
    clock.set("2024-05-12T00:00:00Z")
    office.file(trade(130_000, period="2024-04"), trade(120_000, number=1001))
    clock.set("2024-06-05T00:00:00.5Z")
    office.file(trade(150_000, reason="企业改报"))
    assert [event["position"] for event in events(office)] == list(range(1, 10))
    return office


@pytest.fixture
def history(shared_history: Office) -> Iterator[Office]:
    """The same, to read."""
    with unchanged(shared_history) as office:
        yield office


ENDS = {0: 0, 1: 1, 2: 1, 3: 3, 4: 3, 5: 3, 6: 3, 7: 7, 8: 7, 9: 9}
"""By position asked for, the end of the last transaction that had ended by then."""


@pytest.mark.parametrize(("position", "end"), ENDS.items())
def test_a_position_shows_the_last_whole_transaction_by_then(
    history: Office, position: int, end: int
) -> None:
    steps_of_end = {0: 0, 1: 0, 3: 1, 7: 1 + 3, 9: 5 + 3}
    account = history.entitlement(code(1000), position=position)
    assert account["as_of"]["position"] == end
    assert account["assessed_fen"] == steps_of_end[end] * STEP_FEN
    page = listing(history, position=position)
    assert page["as_of"] == account["as_of"]
    assert page["total"] == {0: 0, 1: 0, 3: 1, 7: 2, 9: 2}[end]
    summary = history.read("/v1/summary", window=WINDOW, group_by="measure", position=position)
    assert summary["as_of"] == account["as_of"]
    assert (
        summary["assessed_fen"]
        == page["assessed_fen"]
        == (steps_of_end[end] + (2 if end >= 7 else 0)) * STEP_FEN
    )
    explained = history.get(f"/v1/entitlements/{code(1000)}/{WINDOW}/2024-03", position=position)
    if end < 3:
        refused(explained, 404, "not-found")
    else:
        assert explained.json()["as_of"] == account["as_of"]
        assert explained.json()["rule_fen"] == (5 if end == 9 else 1) * STEP_FEN


@on_one_database
@pytest.mark.parametrize(
    ("known_at", "end"),
    [
        ("2024-04-10T07:59:59.999999Z", 0),
        ("2024-04-10T08:00:00Z", 3),
        ("2024-04-10T16:00:00+08:00", 3),
        ("2024-05-11T23:59:59Z", 3),
        ("2024-05-12T00:00:00Z", 7),
        ("2024-06-05T00:00:00.499999Z", 7),
        ("2024-06-05T00:00:00.5Z", 9),
        ("2030-01-01T00:00:00Z", 9),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_a_time_shows_what_had_been_recorded_by_then(history: Office, known_at: str, end: int) -> None:
    at_position = history.entitlement(code(1000), position=end)
    assert history.entitlement(code(1000), known_at=known_at) == at_position
    assert at_position["as_of"]["position"] == end
    assert listing(history, known_at=known_at) == listing(history, position=end)
    summary = {"window": WINDOW, "group_by": "region_code"}
    assert history.read("/v1/summary", known_at=known_at, **summary) == history.read(
        "/v1/summary", position=end, **summary
    )
    path = f"/v1/entitlements/{code(1000)}/{WINDOW}/2024-03"
    by_time, by_position = history.get(path, known_at=known_at), history.get(path, position=end)
    assert (by_time.status_code, by_time.json()) == (by_position.status_code, by_position.json())


@on_one_database
def test_before_anything_was_known_the_answer_is_empty_and_says_so(history: Office) -> None:
    account = history.entitlement(code(1000), position=0)
    assert (account["as_of"]["position"], account["as_of"]["recorded_at"]) == (0, None)
    assert (account["policy"], account["periods"], account["assessed_fen"]) == (None, [], 0)
    page = listing(history, position=0)
    assert (page["items"], page["total"], page["assessed_fen"]) == ([], 0, 0)


def test_an_account_not_yet_filed_at_the_moment_asked_for_is_there_and_empty(history: Office) -> None:
    account = history.entitlement(code(1001), position=3)
    assert account["policy"]["version"] == 1
    assert (account["periods"], account["assessed_fen"], account["headroom_fen"]) == (
        [],
        0,
        HALF_YEAR_CEILING_FEN,
    )


@pytest.mark.parametrize("path", READS)
def test_a_position_above_the_head_is_not_acceptable(history: Office, path: str) -> None:
    separator = "&" if "?" in path else "?"
    for position in (10, 2**63 - 1, 2**63, 10**30):
        response = history.client.get(
            f"{path}{separator}position={position}", headers=history.headers("auditor")
        )
        refused(response, 422, "position-ahead")


@on_one_database
@pytest.mark.parametrize(
    "asked",
    [
        "position=3&known_at=2024-04-10T08:00:00Z",
        "position=-1",
        "position=three",
        "position=1.5",
        "known_at=2024-04-31",
        "known_at=2024-04-10T08:00:00",
        "known_at=2024-13-10T08:00:00Z",
        "known_at=yesterday",
        "known_at=",
    ],
)
def test_a_moment_that_is_none_is_a_bad_query(history: Office, asked: str) -> None:
    for path in READS:
        separator = "&" if "?" in path else "?"
        response = history.client.get(f"{path}{separator}{asked}", headers=history.headers("auditor"))
        refused(response, 400, "invalid-request")


@on_one_database
@pytest.mark.parametrize("path", READS)
def test_a_policy_that_is_not_there_is_404(history: Office, path: str) -> None:
    separator = "&" if "?" in path else "?"
    headers = history.headers("auditor")
    refused(history.client.get(f"{path}{separator}policy=unknown", headers=headers), 404, "not-found")
    assert history.client.get(f"{path}{separator}policy={POLICY}", headers=headers).status_code == 200
