"""The list has every enterprise with a return in the window, whatever the policy made of it."""

from app.use_cases.policies.loader import YINGKOU_2024_14
from tests.api.rows import trade
from tests.office import Office


def _from_march(office: Office) -> None:
    text = YINGKOU_2024_14.read_bytes().replace(b'first: "2024-01~02"', b'first: "2024-03"')
    assert office.publish(text).status_code == 202


def test_an_enterprise_outside_the_periods_of_the_policy_is_listed_with_nothing(office: Office) -> None:
    _from_march(office)
    office.file(trade(200_000, number=1), trade(200_000, number=2, period="2024-01~02"))
    listed = office.read("/v1/entitlements", window="2024H1")
    assert [(item["assessed_fen"], item["periods"]) for item in listed["items"]] == [(50_000_000, 1), (0, 0)]
    assert (listed["total"], listed["assessed_fen"]) == (2, 50_000_000)


def test_pages_go_through_those_with_and_without_an_account(office: Office) -> None:
    _from_march(office)
    office.file(*(trade(200_000, number=n, period="2024-01~02" if n % 2 else "2024-03") for n in range(1, 8)))
    for sort in ("-assessed_fen", "assessed_fen", "uscc"):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = office.read("/v1/entitlements", window="2024H1", sort=sort, limit=2, **cursor)
            seen += [item["uscc"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len(seen) == len(set(seen)) == 7


def test_a_filter_that_asks_for_an_assessment_leaves_out_those_without_one(office: Office) -> None:
    _from_march(office)
    office.file(trade(200_000, number=1), trade(200_000, number=2, period="2024-01~02"))
    for asked in ({"status": "eligible"}, {"measure": "retail-growth"}, {"min_assessed_fen": 1}):
        listed = office.read("/v1/entitlements", window="2024H1", totals="true", **asked)
        assert listed["total"] == len(listed["items"]) == 1


def test_the_prefix_of_a_name_is_found_in_its_own_case_only(office: Office) -> None:
    office.file(trade(1, number=1, name="Abc商贸"))
    assert office.read("/v1/entitlements", window="2024H1", q="Abc", totals="true")["total"] == 1
    assert office.read("/v1/entitlements", window="2024H1", q="abc", totals="true")["total"] == 0
