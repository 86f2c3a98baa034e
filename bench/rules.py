"""Measures the rule alone, assessment with its steps, and the rebuild from the log."""

from itertools import islice

from app.runtime.database import read_transaction
from app.use_cases.upkeep.rebuilding import rebuild
from bench.ledgers import drafts, new_ledger, policy
from bench.month_close import import_month, seconds
from bench.places import KINDS, places
from bench.rows import PERIODS, rows, write_month
from domain.assessment.assess import assess
from domain.events import PolicyRef
from domain.periods import period_of
from domain.policy.document import fingerprint
from domain.policy.policy import Policy

MONTHS = 3
SAMPLE = 10_000
ROUNDS = 5


def assessment() -> None:
    """Print how many periods per second are assessed with their steps."""
    loaded = policy()
    rule = Policy(PolicyRef(loaded.typed.policy, 1, fingerprint(loaded.document)), loaded.typed)
    months = [
        (period_of(draft.registered.period), {draft.registered.form: draft.registered})
        for draft in drafts(islice(rows(SAMPLE, "2024-03"), SAMPLE))
    ]

    def work() -> None:
        for _ in range(ROUNDS):
            for period, returns in months:
                assess(rule, period, returns, {})

    print(f"assessment with steps, one core: {ROUNDS * SAMPLE / seconds(work):,.0f} periods/s", flush=True)


def rebuilding(enterprises: int) -> None:
    """Print how many events per second a rebuild handles, and how many are read and decoded alone."""
    for kind in KINDS:
        with places(kind) as place:
            ledger = new_ledger(place.database())
            for period in PERIODS[:MONTHS]:
                path = place.folder / f"{period}.csv"
                write_month(path, enterprises, period)
                import_month(ledger, path, period)
            head = rebuild(ledger)
            rebuilt_s = seconds(lambda ledger=ledger: rebuild(ledger))  # type: ignore[misc]

            def read(ledger: object = ledger) -> None:
                after = 0
                with read_transaction(ledger.engine) as connection:  # type: ignore[attr-defined]
                    while entries := ledger.entries(connection, after=after, limit=20_000):  # type: ignore[attr-defined]
                        after = entries[-1].position

            read_s = seconds(read)
            print(f"rebuild, {kind}, {head} events: {head / rebuilt_s:,.0f} events/s")
            print(f"  reading and decoding them alone: {head / read_s:,.0f} events/s", flush=True)
            ledger.engine.dispose()
