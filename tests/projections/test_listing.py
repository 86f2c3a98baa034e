"""The pages and totals of the list agree with the rows of the tables."""

import random
import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, text

from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction
from app.use_cases.policies.loader import YINGKOU_2024_14, LoadedPolicy, load_policy
from projections import tables
from projections.queries import listing
from projections.queries.listing import (
    ListedAccount,
    ListFilter,
    ListTotals,
    Place,
    Sort,
    account_page,
    list_totals,
    prefix_end,
)
from tests.databases import Database, only_on_postgresql
from tests.ledger.history import (
    REGIONS,
    RandomYear,
    catering,
    code,
    file,
    held,
    policy,
    publish_whole,
    trade,
    transaction_ends,
)
from tests.office import Office, TestClock

WHOLE, LATER, AUTUMN, UNKNOWN = "yingkou-2024-14", "yingkou-2024-1", "autumn", "elsewhere"
WINDOWS = ("2024H1", "2024H2")
SORTS: tuple[Sort, ...] = ("-assessed_fen", "assessed_fen", "uscc")
ENTERPRISES = 9
FILTERS = 30
"""For each moment of a year."""


def covering(name: str, first: str, last: str) -> LoadedPolicy:
    """The shipped policy under another id, for some of its periods."""
    written = YINGKOU_2024_14.read_text(encoding="utf-8")
    for old, new in (
        (f"policy: {WHOLE}", f"policy: {name}"),
        ('first: "2024-01~02"', f'first: "{first}"'),
        ('last: "2024-12"', f'last: "{last}"'),
    ):
        assert written.count(old) == 1
        written = written.replace(old, new)
    loaded = load_policy(written, file="policy.yaml")
    assert isinstance(loaded, LoadedPolicy), loaded
    return loaded


YEARS: dict[str, list[LoadedPolicy]] = {
    "no policy": [],
    "one that covers June to December": [covering(LATER, "2024-06", "2024-12")],
    "one after another, and one for the autumn": [
        policy(),
        covering(AUTUMN, "2024-09", "2024-10"),
        policy(30_000),
    ],
    "three that overlap": [
        covering(AUTUMN, "2024-05", "2024-09"),
        policy(),
        covering(LATER, "2024-04", "2024-07"),
    ],
}


@pytest.fixture(scope="module", params=YEARS)
def year(request: pytest.FixtureRequest, migrated: Database) -> Iterator[Ledger]:
    """A ledger after a random year with these policies."""
    database = migrated.copy()
    engine = database.open()
    ledger = Ledger(engine, TestClock())
    drawn = RandomYear(len(request.param), enterprises=ENTERPRISES)
    for version_text in YEARS[request.param]:
        drawn.play(ledger, 3, published_at=())
        publish_whole(ledger, version_text)
    drawn.play(ledger, 4, published_at=())
    yield ledger
    engine.dispose()
    database.drop()


@pytest.fixture
def draw(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> random.Random:
    """The source of random choices; slices and pages are so small that a few enterprises need several."""
    drawn = random.Random(request.param)  # noqa: S311 - nothing is secret here
    for name in ("SLICE", "MOST_SCANNED", "MOST_FOUND_BY_NAME"):
        monkeypatch.setattr(listing, name, drawn.randint(1, 5))
    return drawn


drawn = pytest.mark.parametrize(
    ("host", "draw"), [("sqlite", 0), ("sqlite", 1), ("postgresql", 0)], indirect=True
)


class Entry(NamedTuple):
    """An account of the list with all values that filters compare."""

    account: ListedAccount
    industry_code: str
    periods: tuple[tuple[str | None, str, str], ...]


class AllEnterprises:
    """All enterprises with an account or a standing return, from the rows in force at a position."""

    def __init__(self, connection: Connection, at: int) -> None:
        self._accounts = list(held(connection, tables.accounts, at))
        self._enterprises = list(held(connection, tables.enterprises, at))
        self._entitlements = list(held(connection, tables.entitlements, at))

    def of(self, policy_id: str | None, window: str) -> list[Entry]:
        """The enterprises of a half-year, under a policy."""
        periods: dict[str, list[tuple[str | None, str, str]]] = {}
        for row in self._entitlements:
            if (row.policy, row.window) == (policy_id, window):
                periods.setdefault(row.uscc, []).append((row.measure, row.status, row.stage))
        found = {
            row.uscc: Entry(
                ListedAccount(*(getattr(row, name) for name in ListedAccount.__struct_fields__)),
                row.industry_code,
                tuple(periods[row.uscc]),
            )
            for row in self._accounts
            if (row.policy, row.window) == (policy_id, window)
        }
        for row in self._enterprises:
            if row.window == window and row.uscc not in found:
                nothing = ListedAccount(row.uscc, row.name, row.region_code, 0, 0, 0, 0)
                found[row.uscc] = Entry(nothing, row.industry_code, ())
        return list(found.values())

    def listed(self, wanted: ListFilter, sort: Sort) -> list[ListedAccount]:
        """The accounts that pass the filters, in an order of the list."""
        found = [
            enterprise.account
            for enterprise in self.of(wanted.policy, wanted.window)
            if passes(enterprise, wanted)
        ]
        return in_order(found, sort)


def passes(entry: Entry, wanted: ListFilter) -> bool:
    """Whether an enterprise passes the filters."""
    account = entry.account
    asked = (wanted.measure, wanted.status, wanted.stage)
    return (
        wanted.region_code in {None, account.region_code}
        and entry.industry_code.startswith(wanted.industry or "")
        and account.assessed_fen >= wanted.min_assessed_fen
        and (account.uscc.startswith(wanted.q or "") or account.name.startswith(wanted.q or ""))
        and (
            asked == (None, None, None)
            or any(
                all(value in {None, has} for value, has in zip(asked, period, strict=True))
                for period in entry.periods
            )
        )
    )


def in_order(accounts: list[ListedAccount], sort: Sort) -> list[ListedAccount]:
    """The accounts in an order of the list."""
    if sort == "uscc":
        return sorted(accounts, key=lambda account: account.uscc)
    falling = sorted(accounts, key=lambda account: (-account.assessed_fen, account.uscc))
    return falling if sort == "-assessed_fen" else falling[::-1]


def walked(  # noqa: PLR0913 - the parts of a page
    connection: Connection,
    wanted: ListFilter,
    at: int,
    *,
    sort: Sort,
    limit: int,
    after: Place | None = None,
) -> list[ListedAccount]:
    """The pages, one after the other, up to the last one."""
    found: list[ListedAccount] = []
    for _ in range(ENTERPRISES + 1):
        page = account_page(connection, wanted, at, sort=sort, limit=limit, after=after)
        assert len(page.accounts) <= limit
        found += page.accounts
        if page.next_after is None:
            return found
        assert page.next_after != after
        after = page.next_after
    raise AssertionError("the pages do not end")


def drawn_filter(draw: random.Random) -> ListFilter:
    """A filter with at least one condition."""

    def maybe(*values: Any) -> Any:
        return draw.choice(values) if draw.random() < 0.3 else None

    some_code = code(draw.randint(1, 12))
    name = f"示例企业{some_code[-5:]}（新）"
    return ListFilter(
        policy=draw.choice([WHOLE, LATER, AUTUMN, UNKNOWN, None]),
        window=draw.choice(WINDOWS),
        region_code=maybe(*REGIONS, "21080", ""),
        industry=maybe("5", "51", "52", "6110", "4"),
        measure=maybe("retail-growth", "catering-increment", ""),
        status=maybe("eligible", "undetermined", "not-eligible"),
        stage=maybe("final", "preliminary"),
        min_assessed_fen=maybe(1, 2_000_000, 5_000_000, 40_000_000, 2**63 - 1) or 0,
        q=maybe(some_code[: draw.randint(0, 18)], name[: draw.randint(0, len(name))], "%", "_", "示_"),
    )


def moments_of(ledger: Ledger, draw: random.Random) -> list[int]:
    """The beginning, the end, and another end of a transaction."""
    ends = transaction_ends(ledger)
    return [0, ends[-1], draw.choice(ends)]


@drawn
def test_the_pages_and_the_totals_are_what_the_rows_say(year: Ledger, draw: random.Random) -> None:
    listed = 0
    with read_transaction(year.engine) as connection:
        for at in moments_of(year, draw):
            enterprises_held = AllEnterprises(connection, at)
            for _ in range(FILTERS):
                wanted, sort, limit = drawn_filter(draw), draw.choice(SORTS), draw.randint(1, 6)
                found = walked(connection, wanted, at, sort=sort, limit=limit)
                assert found == enterprises_held.listed(wanted, sort), (wanted, at, sort, limit)
                sums = ListTotals(len(found), sum(account.assessed_fen for account in found))
                assert list_totals(connection, wanted, at) == sums, (wanted, at)
                listed += len(found)
    assert listed > FILTERS


@drawn
def test_a_page_goes_on_after_any_place_even_of_no_enterprise(year: Ledger, draw: random.Random) -> None:
    keys: dict[Sort, Callable[[Place], Any]] = {
        "-assessed_fen": lambda place: (-place[0], place[1]),
        "assessed_fen": lambda place: (place[0], [-ord(character) for character in place[1]]),
        "uscc": lambda place: place[1],
    }
    at = transaction_ends(year)[-1]
    with read_transaction(year.engine) as connection:
        enterprises_held = AllEnterprises(connection, at)
        for _ in range(FILTERS):
            wanted, sort = drawn_filter(draw), draw.choice(SORTS)
            amounts = [
                enterprise.account.assessed_fen
                for enterprise in enterprises_held.of(wanted.policy, wanted.window)
            ]
            place = (draw.choice([0, 1, *amounts]), draw.choice([code(draw.randint(1, 12)), "0", "Z"]))
            found = walked(connection, wanted, at, sort=sort, limit=3, after=place)
            assert found == [
                account
                for account in enterprises_held.listed(wanted, sort)
                if keys[sort]((account.assessed_fen, account.uscc)) > keys[sort](place)
            ], (wanted, sort, place)


def test_the_random_years_have_what_the_filters_ask_for(year: Ledger) -> None:
    """Otherwise the tests above would compare empty lists."""
    at = transaction_ends(year)[-1]
    with read_transaction(year.engine) as connection:
        published = {row.policy for row in held(connection, tables.accounts, at)} | {None}
        without = with_account = 0
        for name, window in product(published, WINDOWS):
            for enterprise in AllEnterprises(connection, at).of(name, window):
                with_account += bool(enterprise.periods)
                without += not enterprise.periods
        measures = {row.measure for row in held(connection, tables.entitlements, at)}
        statuses = {row.status for row in held(connection, tables.entitlements, at)}
    assert without > 0
    assert (with_account > 0) == (len(published) > 1)
    if len(published) > 1:
        assert measures == {None, "retail-growth", "catering-increment"}
        assert statuses == {"eligible", "undetermined", "not-eligible"}


# Prefixes.

TRICKY = ("", "\0", "a", "\ud7ff", "\ue000", chr(sys.maxunicode - 1), chr(sys.maxunicode))


def test_the_end_of_a_prefix_parts_the_texts_that_begin_so_from_those_after_them() -> None:
    texts = {"".join(characters) for characters in product(TRICKY, repeat=4)}
    for prefix in {"".join(characters) for characters in product(TRICKY, repeat=2)}:
        end = prefix_end(prefix)
        for candidate in texts:
            assert candidate.startswith(prefix) == (candidate >= prefix and (end is None or candidate < end))


def test_the_end_of_a_prefix_is_a_text_that_a_database_takes() -> None:
    assert prefix_end("a\ud7ff") == "a\ue000"
    assert prefix_end("a\U0010ffff\U0010ffff") == "b"
    for prefix in {"".join(characters) for characters in product(TRICKY, repeat=3)}:
        end = prefix_end(prefix)
        assert end is None or end.encode().decode() == end


def test_there_is_no_end_of_a_prefix_after_which_there_is_no_text() -> None:
    assert prefix_end("") is None
    assert prefix_end("\U0010ffff" * 3) is None


# Over HTTP.

ODD_NAMES = (
    "100%商贸",
    "100_商贸",
    "甲\\乙",
    "O'Brien",
    "\ud7ff末",
    "\U0010ffff末",
    "😀笑",
    'a"b;--',
    "Abc",
    "abc",
)


@pytest.mark.parametrize("most_found_by_name", [0, 100])
def test_a_prefix_of_odd_characters_finds_the_names_that_begin_so(
    office: Office, monkeypatch: pytest.MonkeyPatch, most_found_by_name: int
) -> None:
    monkeypatch.setattr(listing, "MOST_FOUND_BY_NAME", most_found_by_name)
    publish_whole(office.ledger)
    rows = [trade(code(n), "2024-03", 110_000, 100_000, name=name) for n, name in enumerate(ODD_NAMES, 1)]
    file(office.ledger, *rows)
    names = [row["name"] for row in rows]
    for prefix in {
        *"%_\\'\"😀Aa\ud7ff\ue000\U0010ffff*?[",
        *names,
        "",
        " ",
        "%%",
        "\\%",
        "100",
        "100%",
        "9121",
    }:
        found = office.read("/v1/entitlements", window="2024H1", q=prefix, totals=True)
        begin_so = sorted(
            row["uscc"] for row in rows if row["name"].startswith(prefix) or row["uscc"].startswith(prefix)
        )
        assert sorted(item["uscc"] for item in found["items"]) == begin_so, prefix
        assert found["total"] == len(begin_so)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (quote("\0"), 400),
        (quote("a\nb"), 400),
        (quote("\x7f"), 400),
        ("%ED%A0%80", 200),  # A surrogate is not text: it is decoded as three replacement characters.
        ("%FF%FE", 200),
        ("%F4%90%80%80", 200),
        (quote("甲" * 100), 200),
        (quote("甲" * 101), 400),
    ],
)
def test_a_prefix_that_is_not_text_is_refused_or_finds_no_enterprise(
    office: Office, raw: str, status: int
) -> None:
    file(office.ledger, trade(code(1), "2024-03", 110_000, 100_000))
    response = office.client.get(f"/v1/entitlements?window=2024H1&q={raw}", headers=office.headers("auditor"))
    assert response.status_code == status, response.text
    assert status != 200 or response.json()["items"] == []


def test_all_pages_are_as_of_the_first_whatever_is_filed_between_them(office: Office) -> None:
    publish_whole(office.ledger)
    for n in range(1, 8):
        file(office.ledger, trade(code(n), "2024-03", 100_000 + 9_000 * n, 100_000))
    whole = office.read("/v1/entitlements", window="2024H1")
    found, page, n = [], office.read("/v1/entitlements", window="2024H1", limit=2), 10
    while True:
        found += page["items"]
        assert page["as_of"] == whole["as_of"]
        if page["next_cursor"] is None:
            break
        n += 1
        file(office.ledger, catering(code(n), "2024-04", 3_000, 2_000))
        page = office.read("/v1/entitlements", window="2024H1", limit=2, cursor=page["next_cursor"])
    assert found == whole["items"]


@only_on_postgresql
@pytest.mark.parametrize(
    "fields", [{"stage": "preliminary"}, {"measure": "none"}, {"status": "undetermined"}]
)
def test_a_filtered_page_never_reads_all_entitlements(ledger: Ledger, fields: dict[str, Any]) -> None:
    publish_whole(ledger)
    file(ledger, *(trade(code(n), "2024-03", 120_000, 100_000) for n in range(1, 20)))
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    with read_transaction(ledger.engine) as connection:
        wanted = ListFilter(policy=WHOLE, window="2024H1", **fields)
        page = account_page(connection, wanted, ledger.head(connection), sort="uscc", limit=5, after=None)
        read_whole = text("SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'entitlements'")
        assert connection.scalar(read_whole) == 0
    assert page.accounts == []
