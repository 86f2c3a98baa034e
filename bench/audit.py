"""Measures what auditors wait for: replay, sealing, export, proofs; and a month close during sealing."""

import hashlib
import multiprocessing
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

from sqlalchemy import insert, select, update

from app.bootstrap import migrate
from app.ledger.clock import now_us
from app.ledger.ledger import Ledger
from app.ledger.lines import Line, canonical
from app.ledger.tables import events, sequencer
from app.runtime.database import open_engine, read_transaction, write_transaction
from app.transparency import tiles
from app.transparency.merkle import leaf_hash
from app.transparency.sealing import seal
from app.transparency.tiles import TileReader
from app.use_cases.audit.exporting import ExportOptions, export_log
from app.use_cases.audit.proving import prove_consistency, prove_inclusion
from app.use_cases.audit.replaying import ReplayRange, replay
from bench.ledgers import new_ledger
from bench.month_close import import_month, seconds
from bench.places import KINDS, DatabaseMaker, places
from bench.rows import PERIODS, write_month

MONTHS: Final = 3
LEAVES: Final = 10_000_000
LEAVES_AT_ONCE: Final = 500_000
PROOFS: Final = 1_000
PAIRS: Final = 3
"""The number of month closes with and without concurrent sealing; the median counts, since machines vary."""

SEAL_INTERVAL_S: Final = 1.0
"""The interval of `duixian project`."""


def run(enterprises: int) -> None:
    """Measure on both databases."""
    for kind in KINDS:
        with places(kind) as place:
            _whole_log(kind, place, enterprises)
            _month_while_sealing(kind, place, enterprises)
            _proofs(kind, place)


def _whole_log(kind: str, place: DatabaseMaker, enterprises: int) -> None:
    ledger = new_ledger(place.database())
    for period in PERIODS[:MONTHS]:
        path = place.folder / f"{period}.csv"
        write_month(path, enterprises, period)
        import_month(ledger, path, period)
    with read_transaction(ledger.engine) as connection:
        head = ledger.head(connection)
    print(f"the log of {enterprises} enterprises and {MONTHS} months, {kind}, {head} events")
    _print_rate("reading and decoding alone", head, lambda: _read(ledger))
    _print_rate("sealing", head, lambda: seal(ledger))
    _print_rate("replay, decisions", head, lambda: _replayed(ledger, ReplayRange(last=head)))
    _print_rate("replay, with the read models", head, lambda: _replayed(ledger, ReplayRange()))
    _print_rate("export", head, lambda: _exported(ledger, place))
    ledger.engine.dispose()


def _print_rate(what: str, count: int, work: Callable[[], Any]) -> None:
    print(f"  {what:<30}{count / seconds(work):>10,.0f} events/s", flush=True)


def _read(ledger: Ledger) -> None:
    after = 0
    with read_transaction(ledger.engine) as connection:
        while entries := ledger.entries(connection, after=after, limit=20_000):
            after = entries[-1].position


def _replayed(ledger: Ledger, positions: ReplayRange) -> None:
    if not replay(ledger, positions).is_clean:
        raise SystemExit("the replay found a mismatch")


def _exported(ledger: Ledger, place: DatabaseMaker) -> None:
    target = place.folder / "export"
    export_log(ledger, ExportOptions(target=target, packed=False, until=None, made_at="", signing=None))


def _month_while_sealing(kind: str, place: DatabaseMaker, enterprises: int) -> None:
    path = place.folder / "month.csv"
    write_month(path, enterprises, "2024-03")
    alone, while_sealing = [], []
    for _ in range(PAIRS):
        alone.append(_month_s(place, path, is_sealed=False))
        while_sealing.append(_month_s(place, path, is_sealed=True))
    slower = median(while_sealing) / median(alone) - 1
    print(f"month close, {kind}, {enterprises} enterprises: {enterprises / median(alone):,.0f} rows/s")
    print(
        f"  while another process seals: {enterprises / median(while_sealing):,.0f} rows/s, {slower:+.0%}",
        flush=True,
    )


def _month_s(place: DatabaseMaker, path: Path, *, is_sealed: bool) -> float:
    url = place.database()
    ledger = new_ledger(url)
    sealer = multiprocessing.get_context("spawn").Process(target=_seal_on, args=(url,), daemon=True)
    if is_sealed:
        sealer.start()
        while _sealed(ledger) == 0:
            time.sleep(0.01)
    taken = seconds(lambda: import_month(ledger, path, "2024-03"))
    if is_sealed:
        sealer.terminate()
        sealer.join()
    ledger.engine.dispose()
    return taken


def _sealed(ledger: Ledger) -> int:
    with read_transaction(ledger.engine) as connection:
        return tiles.sealed_size(connection)


def _seal_on(url: str) -> None:
    ledger = Ledger(open_engine(url))
    while True:
        seal(ledger)
        time.sleep(SEAL_INTERVAL_S)


def _proofs(kind: str, place: DatabaseMaker) -> None:
    ledger = Ledger(open_engine(place.database()))
    migrate(ledger.engine)
    chance = random.Random(kind)  # noqa: S311 - a benchmark is not a secret
    positions = sorted(chance.sample(range(1, LEAVES + 1), PROOFS))
    _grow(ledger, {position: _line(position) for position in positions})
    in_ms = {
        "inclusion": _times_ms(ledger, positions, _prove_inclusion),
        "consistency": _times_ms(ledger, positions, _prove_consistency),
        "one row by its key": _times_ms(ledger, positions, _read_row),
    }
    print(f"proofs among {LEAVES:,} events, {kind}")
    for what, times in in_ms.items():
        print(
            f"  {what:<20} median {median(times):.2f} ms, p99 {times[len(times) * 99 // 100]:.2f} ms",
            flush=True,
        )
    ledger.engine.dispose()


def _line(position: int) -> Line:
    return Line(position, f"bench/{position}", 1, "ReturnFiled", now_us(), "bench", "bench", position, b"{}")


def _grow(ledger: Ledger, lines: dict[int, Line]) -> None:
    """Store the tiles of a log of which only a few events exist: proofs read no other events."""
    for size in range(0, LEAVES, LEAVES_AT_ONCE):
        leaves = b"".join(
            leaf_hash(canonical(lines[at])) if at in lines else hashlib.sha256(at.to_bytes(8)).digest()
            for at in range(size + 1, size + LEAVES_AT_ONCE + 1)
        )
        with write_transaction(ledger.engine) as connection:
            changed = list(tiles.grown(TileReader(connection), size=size, leaves=leaves))
            tiles.store(connection, changed, before=size, size=size + LEAVES_AT_ONCE)
    with write_transaction(ledger.engine) as connection:
        connection.execute(insert(events), [line._asdict() for line in lines.values()])
        connection.execute(update(sequencer).values(last=LEAVES))


def _times_ms(ledger: Ledger, positions: list[int], work: Callable[[Ledger, int], Any]) -> list[float]:
    return sorted(1000 * seconds(lambda position=position: work(ledger, position)) for position in positions)  # type: ignore[misc]


def _prove_inclusion(ledger: Ledger, position: int) -> Any:
    with read_transaction(ledger.engine) as connection:
        return prove_inclusion(ledger, connection, position=position, size=None)


def _prove_consistency(ledger: Ledger, position: int) -> Any:
    with read_transaction(ledger.engine) as connection:
        return prove_consistency(ledger, connection, first=position, second=LEAVES)


def _read_row(ledger: Ledger, position: int) -> Any:
    with read_transaction(ledger.engine) as connection:
        return connection.execute(select(events).where(events.c.position == position)).one()
