"""An alteration of the log in its database is found by the right check and at the right position."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, text, update

from app.ledger.ledger import Ledger
from app.ledger.tables import events, log_seal, log_tiles, publications, sequencer
from app.runtime.database import read_transaction
from app.runtime.limits import VERIFY_MOST_PLACES
from app.transparency.merkle import HASH_BYTES
from app.transparency.tiles import root_at
from app.use_cases.audit.findings import CHECKS, Findings
from app.use_cases.audit.verifying import KnownRoot, Verified, verify_ledger
from projections.tables import LIVE
from tests.databases import Database, only_on_sqlite
from tests.ledger.history import code, file, trade
from tests.verification.alterations import (
    Alteration,
    alter,
    deleting,
    inserting,
    seal_again,
    setting,
    setting_data,
    setting_state,
    swapping,
    truncating,
    without_constraints,
)

EVENTS = 45
Found = dict[str, list[int | None]]


def verify(ledger: Ledger, *known: KnownRoot) -> tuple[Verified | None, Found]:
    """The result of a verification, and the positions found, by code."""
    findings = Findings()
    verified = verify_ledger(ledger, known, findings)
    return verified, {finding.code: [place.position for place in finding.places] for finding in findings}


def found_in(ledger: Ledger, *known: KnownRoot) -> Found:
    return verify(ledger, *known)[1]


def kept(ledger: Ledger, size: int = EVENTS) -> KnownRoot:
    """The root of a checkpoint that an auditor has kept."""
    with read_transaction(ledger.engine) as connection:
        root = root_at(connection, size)
    assert root is not None
    return KnownRoot(code="checkpoint-differs", name="留存的日志校验点", size=size, root=root)


def test_an_unaltered_log_is_clean_and_all_of_it_is_compared(ledger: Ledger) -> None:
    verified, found = verify(ledger, kept(ledger), kept(ledger, 21))
    assert found == {}
    assert verified == Verified(EVENTS, kept(ledger).root, EVENTS, sealed_by_log=0, unassessed=[])


def test_an_empty_log_is_clean(migrated: Database) -> None:
    copied = migrated.copy()
    ledger = Ledger(copied.open())
    verified, found = verify(ledger)
    ledger.engine.dispose()
    copied.drop()
    assert found == {}
    assert verified is not None
    assert verified.size == 0


@pytest.mark.parametrize("last", [0, EVENTS, 2**62])
def test_progress_never_passes_its_total_and_comes_to_it(ledger: Ledger, last: int) -> None:
    alter(ledger, lambda connection: connection.execute(update(sequencer).values(last=last)))
    steps: list[tuple[int, int]] = []
    verify_ledger(ledger, [], Findings(), lambda done, total: steps.append((done, total)))
    assert all(done <= total for done, total in steps)
    assert steps[-1] == (EVENTS, EVENTS)


def test_unsealed_events_are_verified_too_and_the_answer_says_how_many_were_compared(
    ledger: Ledger,
) -> None:
    file(ledger, trade(code(9), "2024-09", 110_000, 100_000))
    verified, found = verify(ledger)
    assert found == {}
    assert verified is not None
    assert (verified.size, verified.sealed) == (EVENTS + 2, EVENTS)
    alter(ledger, setting(EVENTS + 1, actor="somebody"))
    assert found_in(ledger) == {"transaction-broken": [EVENTS + 2]}


def test_verifying_writes_nothing(database: Database, ledger: Ledger) -> None:
    alter(ledger, setting(5, actor="somebody"))
    ledger.engine.dispose()
    before = database.stored()
    assert "leaf-differs" in found_in(ledger)
    ledger.engine.dispose()
    assert database.stored() == before


def _other_text(data: Any) -> None:
    data["text"] = data["text"].replace("yuan: 50000,", "yuan: 5000,", 1)


def _other_document(data: Any) -> None:
    data["document"]["title"] += "（修订）"


def _other_fingerprint(data: Any) -> None:
    data["sha256"] = "0" * 64


def _setting(**values: Any) -> Any:
    return lambda data: data.update(values)


def _other_policy_version(data: Any) -> None:
    data["policy"]["version"] = 2


def _other_return_version(version: int) -> Any:
    def change(data: Any) -> None:
        data["records"][0]["version"] = version

    return change


ALTERATIONS: dict[str, tuple[Alteration, Found]] = {
    "one byte of a state": (
        setting_state(13, b'"period":"2024-06"', b'"period":"2024-05"'),
        {"leaf-differs": [13], "reference-missing": [16, 30, 39]},  # The assessments that used it.
    ),
    "an amount assessed": (
        setting_state(26, b'"assessed_fen":0', b'"assessed_fen":1'),
        {"leaf-differs": [26]},
    ),
    "the time of one in its transaction": (
        setting(11, recorded_at_us=1720598400000001),
        {"leaf-differs": [11], "transaction-broken": [11], "time-regresses": [12]},
    ),
    "the time of a whole transaction": (
        setting(5, recorded_at_us=1712736000000000),
        {"leaf-differs": [5], "time-regresses": [5]},
    ),
    "an actor": (setting(23, actor="另一人"), {"leaf-differs": [23], "transaction-broken": [23]}),
    "a batch": (setting(29, batch_id="b"), {"leaf-differs": [29], "transaction-broken": [29]}),
    "the end of a transaction": (
        setting(17, transaction_end=17),
        {"leaf-differs": [17], "transaction-broken": [17]},
    ),
    "an end before its beginning": (
        setting(5, transaction_end=4),
        {"leaf-differs": [5], "transaction-broken": [5]},
    ),
    "an end after the log": (
        setting(45, transaction_end=46),
        {"leaf-differs": [45], "transaction-broken": [45]},
    ),
    "a type": (setting(5, topic="ReturnFiled"), {"leaf-differs": [5]}),
    "an unknown type": (
        setting(15, topic="ReturnShredded"),
        {"leaf-differs": [15], "state-unreadable": [15], "reference-missing": [21]},
    ),
    "a type that does not fit": (
        setting(4, topic="PolicyPublished"),
        {"leaf-differs": [4], "state-unreadable": [4]},
    ),
    "a stream": (
        setting(42, stream="returns/91210802MA0000015Y/2023"),
        {"leaf-differs": [42], "version-gap": [42], "event-misplaced": [42]},
    ),
    "a stream that is no name of one": (
        setting(42, stream="returns/91210802MA000004XC"),
        {"leaf-differs": [42], "version-gap": [42], "event-misplaced": [42]},
    ),
    "a stream of a year that is none": (
        setting(42, stream="returns/91210802MA000004XC/20x4"),
        {"leaf-differs": [42], "version-gap": [42], "event-misplaced": [42]},
    ),
    "an account of another half-year": (
        setting(45, stream="entitlement/yingkou-2024-14/91210802MA0000031L/2024H1"),
        {"leaf-differs": [45], "version-gap": [45], "event-misplaced": [45]},
    ),
    "a period that is none": (
        setting_data(44, _setting(period="2024-13")),
        {"leaf-differs": [44], "event-misplaced": [44], "reference-missing": [45]},
    ),
    "a form that is none": (
        setting_data(44, _setting(form="S204-9")),
        {"leaf-differs": [44], "event-misplaced": [44], "reference-missing": [45]},
    ),
    "a return without its figure": (
        setting_data(44, _setting(figures={})),
        {"leaf-differs": [44], "event-misplaced": [44], "reference-missing": [45]},
    ),
    "a version": (
        setting(44, version=5),
        {"leaf-differs": [44], "version-gap": [44], "reference-missing": [45]},
    ),
    "one deleted": (
        deleting(14, 14),
        {"position-gap": [14], "version-gap": [42], "reference-missing": [20, 34], "log-shorter": [None]},
    ),
    "several deleted": (deleting(40, 41), {"position-gap": [40], "log-shorter": [None]}),
    "two swapped": (swapping(10, 11), {"leaf-differs": [10, 11], "version-gap": [10]}),
    "one inserted": (
        inserting(42),
        {
            "leaf-differs": [42, 43, 44, 45],
            "version-gap": [42],
            "transaction-broken": [44, 46],
            "event-misplaced": [42],
        },
    ),
    "the end cut off": (truncating(43), {"log-shorter": [44]}),
    "the text of a policy": (
        setting_data(6, _other_text),
        {"leaf-differs": [6], "policy-altered": [6]},
    ),
    "the document of a policy": (
        setting_data(6, _other_document),
        {"leaf-differs": [6], "policy-altered": [6, 6]},
    ),
    "the fingerprint of a policy": (
        setting_data(27, _other_fingerprint),
        {
            "leaf-differs": [27],
            "policy-altered": [27],
            "reference-missing": [*range(28, 35), *range(37, 40), 41, 43, 45],
        },
    ),
    "the version whose assessment ended": (
        setting_data(9, _setting(version=2)),
        {"leaf-differs": [9], "policy-altered": [9]},
    ),
    "the policy whose assessment ended": (
        setting(9, stream="policy/other"),
        {
            "leaf-differs": [9],
            "event-misplaced": [9],
            "version-gap": [9, 27],
            "publication-differs": [None],
        },
    ),
    "the policy of an assessment": (
        setting_data(8, _other_policy_version),
        {"leaf-differs": [8], "reference-missing": [8]},
    ),
    "the return of an assessment": (
        setting_data(8, _other_return_version(9)),
        {"leaf-differs": [8], "reference-missing": [8]},
    ),
    "a return of an assessment to come": (
        setting_data(8, _other_return_version(2)),
        {"leaf-differs": [8], "reference-missing": [8]},
    ),
    "a return that no stream can have": (
        setting_data(8, _other_return_version(2**63)),
        {"leaf-differs": [8], "reference-missing": [8]},
    ),
    "a state that is no JSON": (
        setting(31, state=b"\xff\x00{"),
        {"leaf-differs": [31], "state-unreadable": [31]},
    ),
    "no state": (setting(31, state=b""), {"leaf-differs": [31], "state-unreadable": [31]}),
    "a state without an end": (
        setting(31, state=b'{"period":' + b"[" * 100_000),
        {"leaf-differs": [31], "state-unreadable": [31]},
    ),
    "a state of two lines": (
        setting_state(13, b'{"form"', b'{\n"form"'),
        {"leaf-differs": [13], "row-invalid": [13], "version-gap": [36], "reference-missing": [16, 30, 39]},
    ),
    "a version below all": (
        setting(44, version=0),
        {"leaf-differs": [44], "row-invalid": [44], "reference-missing": [45]},
    ),
    "a position below all": (
        setting(45, position=-45),
        {
            "row-invalid": [-45],
            "position-gap": [-45],
            "transaction-broken": [44],
            "sequencer-differs": [None, None],
        },
    ),
    "the last position in the sequencer": (
        lambda connection: connection.execute(update(sequencer).values(last=44)),
        {"sequencer-differs": [None]},
    ),
    "no sequencer": (
        lambda connection: connection.execute(sequencer.delete()),
        {"sequencer-differs": [None]},
    ),
    "read models that say that they are ahead": (
        lambda connection: connection.execute(update(LIVE.checkpoint).values(position=EVENTS + 1)),
        {"sequencer-differs": [None]},
    ),
    "read models that say nothing": (
        lambda connection: connection.execute(LIVE.checkpoint.delete()),
        {"sequencer-differs": [None]},
    ),
    "read models before the beginning": (
        lambda connection: connection.execute(update(LIVE.checkpoint).values(position=-1)),
        {"sequencer-differs": [None]},
    ),
    "a publication that is not noted": (
        lambda connection: connection.execute(publications.delete()),
        {"publication-differs": [None]},
    ),
    "a publication noted elsewhere": (
        lambda connection: connection.execute(
            update(publications).where(publications.c.version == 1).values(position=7)
        ),
        {"publication-differs": [None]},
    ),
    "an assessment of more than there is": (
        lambda connection: connection.execute(
            update(publications).where(publications.c.version == 1).values(done=99)
        ),
        {"publication-differs": [None]},
    ),
    "an assessment below nothing": (
        lambda connection: connection.execute(update(publications).values(done=-1)),
        {"publication-differs": [None]},
    ),
    "an assessment that has come to no stream": (
        lambda connection: connection.execute(
            update(publications).where(publications.c.version == 1).values(after_stream="zzz")
        ),
        {"publication-differs": [None]},
    ),
    "an assessment that has come to nothing": (
        lambda connection: connection.execute(
            update(publications).where(publications.c.version == 1).values(after_stream="")
        ),
        {"publication-differs": [None]},
    ),
    "an assessment that is said not to have ended": (
        lambda connection: connection.execute(
            update(publications).where(publications.c.version == 1).values(assessed_at=None)
        ),
        {"publication-differs": [None]},
    ),
    "an assessment that is said to have ended elsewhere": (
        lambda connection: connection.execute(
            update(publications).where(publications.c.version == 2).values(assessed_at=9)
        ),
        {"publication-differs": [None]},
    ),
    "no seal": (lambda connection: connection.execute(log_seal.delete()), {"sequencer-differs": [None]}),
    "the tiles": (
        lambda connection: connection.execute(log_tiles.delete()),
        {"leaf-differs": list(range(1, VERIFY_MOST_PLACES + 1))},
    ),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_alteration_is_named_by_its_check_and_its_position(ledger: Ledger, name: str) -> None:
    alteration, expected = ALTERATIONS[name]
    alter(ledger, alteration)
    found = found_in(ledger)
    if "leaf-differs" in expected or "row-invalid" in expected:
        assert found.pop("root-differs") == [None]
    assert found == expected


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=12,
    derandomize=True,
)
@given(position=st.integers(1, EVENTS), at=st.integers(0, 10_000), flipped=st.integers(1, 255))
def test_any_byte_of_any_state_that_changes_is_found_at_its_position(
    ledger: Ledger, position: int, at: int, flipped: int
) -> None:
    with read_transaction(ledger.engine) as connection:
        query = select(events.c.state).where(events.c.position == position)
        state = bytes(connection.execute(query).scalar_one())
    at %= len(state)
    changed = state[:at] + bytes([state[at] ^ flipped]) + state[at + 1 :]
    alter(ledger, setting(position, state=changed))
    found = found_in(ledger)
    alter(ledger, setting(position, state=state))
    assert found["leaf-differs"] == [position]


def test_a_changed_hash_of_a_sealed_event_is_found_at_its_position(ledger: Ledger) -> None:
    with read_transaction(ledger.engine) as connection:
        hashes = bytes(connection.execute(select(log_tiles.c.hashes)).scalar_one())
    at = 6 * HASH_BYTES
    changed = hashes[:at] + bytes(HASH_BYTES) + hashes[at + HASH_BYTES :]
    alter(ledger, lambda connection: connection.execute(update(log_tiles).values(hashes=changed)))
    assert found_in(ledger) == {"leaf-differs": [7], "root-differs": [None]}


def test_a_history_rewritten_with_its_seal_is_found_only_by_a_checkpoint_that_was_kept(
    ledger: Ledger,
) -> None:
    before = [kept(ledger, 8), kept(ledger, 13), kept(ledger)]
    ledger.engine.dispose()
    alter(ledger, setting_state(13, b'"current_fen":20000000000', b'"current_fen":10000000000'))
    seal_again(ledger)
    assert found_in(ledger) == {}
    assert found_in(ledger, before[0]) == {}
    assert found_in(ledger, before[1]) == {"checkpoint-differs": [None]}
    assert found_in(ledger, before[2]) == {"checkpoint-differs": [None]}


def test_an_end_cut_off_with_its_seal_is_found_only_by_a_checkpoint_that_was_kept(ledger: Ledger) -> None:
    before = kept(ledger)
    alter(ledger, truncating(41))
    seal_again(ledger)
    assert found_in(ledger) == {}
    assert found_in(ledger, before) == {"log-shorter": [42]}


def test_every_finding_is_counted_and_the_first_places_are_reported(ledger: Ledger) -> None:
    alter(ledger, lambda connection: connection.execute(update(events).values(actor="somebody")))
    findings = Findings()
    verify_ledger(ledger, [], findings)
    (altered,) = (finding for finding in findings if finding.code == "leaf-differs")
    assert altered.count == EVENTS
    assert [finding.position for finding in altered.places] == list(range(1, VERIFY_MOST_PLACES + 1))


HOSTILE = {
    "a position that is text": ("UPDATE events SET position = 'x' WHERE position = 10", 46),
    "a position that is no whole number": ("UPDATE events SET position = 10.5 WHERE position = 10", 10),
    "no position": ("UPDATE events SET position = NULL WHERE position = 10", 1),
    "a version that is text": ("UPDATE events SET version = 'three' WHERE position = 10", 10),
    "a time that is text": ("UPDATE events SET recorded_at_us = '2024' || x'ff' WHERE position = 10", 10),
    "a time that is bytes": ("UPDATE events SET recorded_at_us = x'00' WHERE position = 10", 10),
    "no actor": ("UPDATE events SET actor = NULL WHERE position = 10", 10),
    "an actor that is no UTF-8": ("UPDATE events SET actor = CAST(x'ff' AS TEXT) WHERE position = 10", 10),
    "an actor with NUL": ("UPDATE events SET actor = CAST(x'6100' AS TEXT) WHERE position = 10", 10),
    "a state that is text": ("UPDATE events SET state = CAST(state AS TEXT) WHERE position = 10", 10),
    "a state that is a number": ("UPDATE events SET state = 1 WHERE position = 10", 10),
    "no state": ("UPDATE events SET state = NULL WHERE position = 10", 10),
    "a stream that is bytes": ("UPDATE events SET stream = CAST(stream AS BLOB) WHERE position = 10", 10),
    "an end that is text": ("UPDATE events SET transaction_end = 'x' WHERE position = 10", 10),
}


@only_on_sqlite
@pytest.mark.parametrize("name", HOSTILE)
def test_values_of_any_type_that_sqlite_takes_are_findings(ledger: Ledger, name: str) -> None:
    statement, position = HOSTILE[name]
    alter(ledger, without_constraints)
    alter(ledger, lambda connection: connection.execute(text(statement)))
    found = found_in(ledger)
    assert (found["row-invalid"], found["root-differs"]) == ([position], [None])
    assert ("position-gap" in found) == (position != 10)
    assert ("leaf-differs" in found) == ("SET position" not in statement)


OTHER_TABLES = {
    "sequencer": ("last", "recorded_at_us", "publication"),
    "log_seal": ("size",),
    "log_tiles": ("hashes",),
    "checkpoint": ("position",),
}


@only_on_sqlite
@pytest.mark.parametrize("value", ["NULL", "'text'", "x'00'", "CAST(x'ff' AS TEXT)", "1.5"])
def test_a_seal_and_a_sequencer_of_any_type_that_sqlite_takes_are_findings(
    ledger: Ledger, value: str
) -> None:
    def alteration(connection: Connection) -> None:
        for table, columns in OTHER_TABLES.items():
            without_constraints(connection, table)
            for column in columns:
                connection.execute(text(f"UPDATE {table} SET {column} = {value}"))

    alter(ledger, alteration)
    found = found_in(ledger)
    assert found["sequencer-differs"] == [None] * 3
    assert "leaf-differs" not in found  # There is no record of a seal.


@only_on_sqlite
@pytest.mark.parametrize(
    "column", ["policy", "version", "position", "after_stream", "done", "total", "assessed_at"]
)
@pytest.mark.parametrize("value", ["NULL", "x'00'", "CAST(x'ff' AS TEXT)", "1.5", f"'{10**30}'"])
def test_progress_of_any_type_that_sqlite_takes_is_a_finding(ledger: Ledger, column: str, value: str) -> None:
    alter(ledger, lambda connection: without_constraints(connection, "publications"))
    statement = f"UPDATE publications SET {column} = {value} WHERE version = 1"
    alter(ledger, lambda connection: connection.execute(text(statement)))
    assert set(found_in(ledger)) == {"publication-differs", "table-loose"}


@only_on_sqlite
@pytest.mark.parametrize("left", ["loose", "strict again"])
def test_a_table_that_was_loosened_is_a_finding_and_so_is_what_was_put_into_it(
    database: Database, left: str
) -> None:
    redefine(database, "events", "STRICT", "")
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("UPDATE events SET actor = x'00' WHERE position = 10")
        connection.commit()
    if left == "strict again":
        redefine(database, "events", ")", ") STRICT")
    ledger = Ledger(database.open())
    found = found_in(ledger)
    ledger.engine.dispose()
    assert (found["row-invalid"], found["leaf-differs"]) == ([10], [10])
    assert ("table-loose" in found) == (left == "loose")


def redefine(database: Database, table: str, before: str, after: str) -> None:
    """Change the definition of a table, without touching its rows, as only a tool for SQLite can."""
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        (old,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        kept, _, end = old.rpartition(before)
        assert end.strip() == ""
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (kept + after, table))
        connection.commit()


@only_on_sqlite
def test_a_database_file_that_is_damaged_is_a_finding(database: Database) -> None:
    ledger = Ledger(database.open())
    whole = database.path.read_bytes()
    kept_bytes = 2 * int.from_bytes(whole[16:18], "big")  # The header and the schema.
    database.path.write_bytes(whole[:kept_bytes] + bytes(byte ^ 0x5A for byte in whole[kept_bytes:]))
    verified, found = verify(ledger)
    ledger.engine.dispose()
    assert verified is None
    assert found == {"database-damaged": [None]}


def test_every_check_has_a_name_in_chinese_and_no_other_can_be_noted() -> None:
    assert all(name and not name.isascii() for name in CHECKS.values())
    with pytest.raises(KeyError):
        Findings().note("no-such-check", None, "")
