"""A file that is imported in chunks, with worker processes, is recorded as if it were one batch."""

import pytest
from sqlalchemy import text

from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction
from domain.events import Stage
from tests.databases import only_on_postgresql
from tests.importing.files import (
    ROWS_PER_CHUNK,
    changed,
    have_workers,
    imported,
    one_month,
    random_file,
    same_contents,
)
from tests.ledger.history import file, log, policy, publish_whole
from tests.ledger.test_concurrency import check_consistency


@pytest.mark.parametrize(
    ("host", "seed", "in_months", "workers"),
    [
        ("sqlite", 1, True, 1),
        ("sqlite", 2, False, 2),
        ("postgresql", 1, True, 0),
        ("postgresql", 2, False, 1),
    ],
    indirect=["host"],
)
@pytest.mark.usefixtures("small_chunks")
def test_many_chunks_record_what_one_batch_records(  # noqa: PLR0913 - parameters of a case
    ledger: Ledger,
    other: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    workers: int,
    *,
    in_months: bool,
) -> None:
    """Workers help with the last file, whose rows are of every kind; one process does the others."""
    rows = random_file(seed, in_months=in_months)
    final = [{**row, "reason": "年报核定"} for row in changed(rows[: len(rows) // 2], seed)]
    files: list[tuple[Stage, list[dict[str, object]]]] = [
        ("preliminary", rows[: len(rows) * 2 // 3]),
        ("final", final),
        ("final", changed([*final, *rows[len(rows) // 2 :]], seed + 1)),
    ]
    for target in (ledger, other):
        publish_whole(target, policy(half_year_yuan=900_000))
    for number, (stage, registered) in enumerate(files, 1):
        have_workers(monkeypatch, workers if number == len(files) else 0)
        many, one = imported(ledger, registered, stage), file(other, *registered, stage=stage)
        assert (many.filed, many.revised, many.unchanged) == (one.filed, one.revised, one.unchanged)
    batches = {entry.batch_id for entry in log(ledger)}
    assert len(batches) > sum(len(registered) for _, registered in files) / ROWS_PER_CHUNK
    assert same_contents(ledger, other)
    check_consistency(ledger)


@pytest.mark.usefixtures("small_chunks")
def test_a_file_that_is_imported_again_changes_nothing(ledger: Ledger) -> None:
    publish_whole(ledger)
    rows = random_file(3, in_months=True)
    first = imported(ledger, rows)
    before = log(ledger)
    again = imported(ledger, rows)
    assert (first.filed, again.filed, again.revised, again.unchanged) == (len(rows), 0, 0, len(rows))
    assert (again.position, log(ledger)) == (first.position, before)


@only_on_postgresql
@pytest.mark.usefixtures("small_chunks")
def test_postgresql_knows_what_an_import_has_brought(ledger: Ledger) -> None:
    publish_whole(ledger)
    rows = one_month(3 * ROWS_PER_CHUNK)
    imported(ledger, rows)
    with read_transaction(ledger.engine) as connection:
        known = connection.scalar(text("SELECT reltuples FROM pg_class WHERE relname = 'accounts'"))
    assert known == len(rows)
