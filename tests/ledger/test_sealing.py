"""Sealing: the tree follows the log in every process, and shows where the log contradicts itself."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog
from pymerkle import InmemoryTree
from sqlalchemy import Connection, delete, event, insert, select, update

from app.background.caretaker import Caretaker
from app.ledger.ledger import Ledger
from app.ledger.lines import canonical, read_lines
from app.ledger.tables import events, log_seal, log_tiles, sequencer
from app.runtime.database import read_transaction, write_transaction
from app.runtime.worker_pool import spare_processors
from app.transparency import sealing, tiles
from app.transparency.merkle import EMPTY_ROOT, inclusion_proof, leaf_hash, verifies_inclusion
from app.transparency.sealing import seal, seal_next
from app.transparency.tiles import TileReader, root_at, sealed_size
from app.use_cases.upkeep import sealing as use_cases_sealing
from app.use_cases.upkeep.sealing import Sealer
from domain.errors import LedgerIntegrityError
from tests.databases import Database, only_on_sqlite
from tests.ledger.history import RandomYear, code, file, trade
from tests.verification.alterations import without_constraints


def record(ledger: Ledger, *sizes: int) -> None:
    """Record transactions of these sizes, straight into the tables."""
    with write_transaction(ledger.engine) as connection:
        at = connection.execute(select(sequencer.c.last)).scalar_one()
        for size in sizes:
            row = {"topic": "ReturnFiled", "recorded_at_us": 0, "actor": "审计", "batch_id": "b"}
            connection.execute(
                insert(events),
                [
                    row
                    | {"position": position, "stream": f"returns/{position}/2024", "version": 1}
                    | {"transaction_end": at + size, "state": b'{"n":%d}' % position}
                    for position in range(at + 1, at + size + 1)
                ],
            )
            at += size
        connection.execute(update(sequencer).values(last=at))


def oracle(ledger: Ledger) -> InmemoryTree:
    """The tree over the whole log by another implementation."""
    tree = InmemoryTree(algorithm="sha256")
    with read_transaction(ledger.engine) as connection:
        for line in read_lines(connection, after=0, until=10**6, limit=10**6):
            tree.append_entry(canonical(line))
    return tree


def roots(ledger: Ledger, *sizes: int) -> list[bytes | None]:
    with read_transaction(ledger.engine) as connection:
        return [root_at(connection, size) for size in sizes]


def stored(ledger: Ledger) -> dict[tuple[int, int], bytes]:
    with read_transaction(ledger.engine) as connection:
        return {(level, index): hashes for level, index, hashes in connection.execute(select(log_tiles))}


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "EVENTS_PER_BATCH", 100)
    monkeypatch.setattr(use_cases_sealing, "EVENTS_PER_BATCH", 100)


def test_an_empty_log_has_the_root_of_the_empty_tree_and_no_other(ledger: Ledger) -> None:
    assert seal(ledger) == 0
    assert roots(ledger, 0, 1) == [EMPTY_ROOT, None]
    assert stored(ledger) == {}


def test_the_root_of_any_sealed_size_is_that_of_another_implementation(ledger: Ledger) -> None:
    RandomYear(7).play(ledger, 12)
    size = seal(ledger)
    theirs = oracle(ledger)
    assert size == theirs.get_size() > 50
    assert roots(ledger, *range(1, size + 1)) == [theirs.get_root(size) for size in range(1, size + 1)]


@pytest.mark.usefixtures("_small_batches")
def test_a_log_sealed_batch_by_batch_has_the_tiles_of_one_sealed_at_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(ledger, 250, 1, 3, 600, 90, 70, 56)
    assert seal(ledger) == 1070
    step_by_step = stored(ledger)
    widths = {place: len(hashes) // 32 for place, hashes in step_by_step.items()}
    assert widths == {**{(0, index): 256 for index in range(4)}, (0, 4): 46, (1, 0): 4}
    with write_transaction(ledger.engine) as connection:
        connection.execute(delete(log_tiles))
        connection.execute(update(log_seal).values(size=0))
    monkeypatch.setattr(sealing, "EVENTS_PER_BATCH", 20_000)
    assert seal_next(ledger) == (1070, False)
    assert stored(ledger) == step_by_step
    assert roots(ledger, 1070, 1024, 257) == [oracle(ledger).get_root(size) for size in (1070, 1024, 257)]


@pytest.mark.usefixtures("_small_batches")
def test_what_is_sealed_ends_with_a_transaction(ledger: Ledger) -> None:
    record(ledger, 60, 60, 350, 5)
    assert [seal_next(ledger).size for _ in range(3)] == [120, 470, 475]


@pytest.mark.usefixtures("_small_batches")
def test_sealing_at_most_so_many_stops_after_the_batch_that_reaches_them(ledger: Ledger) -> None:
    record(ledger, *[50] * 20)
    assert seal(ledger, at_most=150) == 200
    assert seal(ledger, at_most=150) == 400
    assert seal(ledger) == 1000


def test_filings_are_sealed_after_they_are_recorded_and_never_by_them(ledger: Ledger) -> None:
    first = file(ledger, trade(code(1), "2024-03", 110_000, 100_000)).position
    assert roots(ledger, first) == [None]
    assert seal(ledger) == first
    second = file(ledger, trade(code(2), "2024-03", 110_000, 100_000)).position
    before, after = roots(ledger, first, second)
    assert before is not None
    assert after is None


@pytest.mark.usefixtures("_small_batches")
def test_several_that_seal_at_once_seal_every_event_once(ledger: Ledger) -> None:
    record(ledger, *[30] * 60)
    with ThreadPoolExecutor(4) as pool:
        reached = [future.result() for future in [pool.submit(seal, ledger) for _ in range(4)]]
    assert reached == [1800] * 4
    assert roots(ledger, 1800) == [oracle(ledger).get_root(1800)]


def test_what_is_sealed_while_others_file_is_a_beginning_of_all_that_follows(ledger: Ledger) -> None:
    def file_some(of: int) -> None:
        for n in range(12):
            file(ledger, trade(code(of * 100 + n), "2024-03", 110_000, 100_000))

    sizes = [0]
    with ThreadPoolExecutor(2) as pool:
        filing = [pool.submit(file_some, of) for of in (1, 2)]
        while not all(future.done() for future in filing):
            sizes.append(seal(ledger))
        for future in filing:
            future.result()
    sizes.append(seal(ledger))
    assert sizes[-1] == 24
    theirs = oracle(ledger)
    assert roots(ledger, *sizes) == [theirs.get_root(size) for size in sizes]


def test_a_batch_that_another_one_sealed_meanwhile_is_not_stored_again(ledger: Ledger) -> None:
    record(ledger, 300)
    with read_transaction(ledger.engine) as connection:
        hashes = b"".join(leaf_hash(b"late") for _ in range(300))
        late = list(tiles.grown(TileReader(connection), size=0, leaves=hashes))
    seal(ledger)
    sealed = stored(ledger)
    with write_transaction(ledger.engine) as connection:
        assert not tiles.store(connection, late, before=0, size=300)
        assert sealed_size(connection) == 300
    assert stored(ledger) == sealed


def test_a_root_once_read_is_remembered_and_its_tiles_are_read_no_more(ledger: Ledger) -> None:
    record(ledger, 300)
    seal(ledger)
    (known,) = roots(ledger, 300)
    with write_transaction(ledger.engine) as connection:
        connection.execute(delete(log_tiles))
    assert roots(ledger, 300) == [known]


def test_proofs_from_the_tiles_verify(ledger: Ledger) -> None:
    record(ledger, 700)
    seal(ledger)
    with read_transaction(ledger.engine) as connection:
        lines = read_lines(connection, after=0, until=700, limit=700)
        root = root_at(connection, 700)
        for index in (0, 255, 256, 511, 512, 699):
            proof = inclusion_proof(TileReader(connection), index=index, size=700)
            leaf = leaf_hash(canonical(lines[index]))
            assert verifies_inclusion(proof, leaf=leaf, index=index, size=700, expected_root=root or b"")


def test_a_position_that_is_missing_is_named_and_what_was_sealed_stays(ledger: Ledger) -> None:
    record(ledger, 10)
    seal(ledger)
    record(ledger, 10)
    with write_transaction(ledger.engine) as connection:
        connection.execute(delete(events).where(events.c.position.in_([14, 17])))
    with pytest.raises(LedgerIntegrityError, match="缺少序号14的记录"):
        seal(ledger)
    with read_transaction(ledger.engine) as connection:
        assert sealed_size(connection) == 10


def test_a_log_that_was_cut_off_at_its_end_is_named(ledger: Ledger) -> None:
    record(ledger, 10)
    with write_transaction(ledger.engine) as connection:
        connection.execute(delete(events).where(events.c.position > 8))
    with pytest.raises(LedgerIntegrityError, match="缺少序号9的记录"):
        seal(ledger)


def test_a_log_that_was_put_back_behind_its_seal_is_named(ledger: Ledger) -> None:
    record(ledger, 10)
    seal(ledger)
    with write_transaction(ledger.engine) as connection:
        connection.execute(update(sequencer).values(last=8))
    with pytest.raises(LedgerIntegrityError, match="台账止于序号8，而已封存10条"):
        seal_next(ledger)


def test_a_tile_that_was_cut_or_lost_is_named(ledger: Ledger) -> None:
    record(ledger, 300)
    seal(ledger)
    with write_transaction(ledger.engine) as connection:
        connection.execute(update(log_tiles).where(log_tiles.c.index == 1).values(hashes=b"\x00" * 64))
        connection.execute(delete(log_tiles).where(log_tiles.c.level == 1))
    record(ledger, 1)
    with pytest.raises(LedgerIntegrityError, match="第0层第1块"):
        seal(ledger)
    with pytest.raises(LedgerIntegrityError, match="第1层第0块"):
        roots(ledger, 300)


def sealed(ledger: Ledger) -> int:
    with read_transaction(ledger.engine) as connection:
        return sealed_size(connection)


@pytest.mark.skipif(spare_processors() == 0, reason="one processor")
@pytest.mark.usefixtures("_small_batches")
def test_a_service_seals_a_long_rest_in_a_worker_process(ledger: Ledger) -> None:
    record(ledger, *[50] * 6)
    here: list[str] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *given: here.append(given[2]))
    Sealer(ledger, answers_meanwhile=True).seal(lambda: False)
    assert sealed(ledger) == 300
    assert not [statement for statement in here if "UPDATE log_seal" in statement]
    assert multiprocessing.active_children() == []
    record(ledger, 50, 49)  # The log has also recorded its own seal.
    Sealer(ledger, answers_meanwhile=True).seal(lambda: False)
    assert sealed(ledger) == 400
    assert len([statement for statement in here if "UPDATE log_seal" in statement]) == 1
    assert roots(ledger, 400) == [oracle(ledger).get_root(400)]


@pytest.mark.usefixtures("_small_batches")
def test_a_process_that_finds_another_one_sealing_leaves_it_to_that_one(
    database: Database, ledger: Ledger
) -> None:
    record(ledger, *[50] * 8)
    other = Ledger(database.open(), ledger.clock)
    ended: list[str] = []
    overtaken: list[int] = []

    def overtake(_: Connection) -> None:
        ended.append("to see how much there is, or to hash a batch of it")
        if len(ended) == 2:  # Hashed, and not stored.
            overtaken.append(seal_next(other).size)

    event.listen(ledger.engine, "commit", overtake)
    Sealer(ledger, answers_meanwhile=False).seal(lambda: False)
    other.engine.dispose()
    assert overtaken == [100]
    assert sealed(ledger) == 100
    assert roots(ledger, 100) == [oracle(ledger).get_root(100)]


@pytest.mark.usefixtures("_small_batches")
def test_the_caretaker_seals_what_was_recorded(ledger: Ledger) -> None:
    for n in range(1, 6):
        file(ledger, *(trade(code(60 * n + number), "2024-03", 110_000, 100_000) for number in range(60)))
    assert sealed(ledger) == 0
    Caretaker(ledger, interval_s=1).look()
    assert sealed(ledger) == 300


def test_the_caretaker_says_once_that_the_log_has_a_gap_and_does_the_rest_of_its_work(
    ledger: Ledger,
) -> None:
    position = file(ledger, trade(code(1), "2024-03", 110_000, 100_000)).position
    file(ledger, trade(code(2), "2024-03", 110_000, 100_000))
    with write_transaction(ledger.engine) as connection:
        connection.execute(delete(events).where(events.c.position == position))
    caretaker = Caretaker(ledger, interval_s=1)
    with structlog.testing.capture_logs() as logged:
        caretaker.look()
        caretaker.look()
    assert [line["event"] for line in logged] == ["the log contradicts itself"]
    assert "缺少序号1的记录" in logged[0]["error"]
    assert sealed(ledger) == 0


@only_on_sqlite
def test_on_sqlite_an_event_altered_to_text_is_named(ledger: Ledger) -> None:
    record(ledger, 10)
    with write_transaction(ledger.engine) as connection:
        without_constraints(connection)
        connection.exec_driver_sql("UPDATE events SET state = replace(state, '7', '8') WHERE position = 7")
    with pytest.raises(LedgerIntegrityError, match="序号7的记录已被改动"):
        seal(ledger)
