"""Sealing the log before a command that needs the seal."""

from contextlib import suppress
from pathlib import Path

from app.ledger.clock import ClockError
from app.ledger.ledger import Ledger
from app.transparency.audit_key import verifier_key_in
from app.transparency.sealing import seal
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.sealing import record_seal


def seal_and_tell(ledger: Ledger, key_file: Path) -> int:
    """Seal the log and, if it is due, record the seal; return the position that the read models reached."""
    seal(ledger)
    with suppress(ClockError):  # The command does not depend on the record of the seal.
        record_seal(ledger, verifier_key_in(key_file))
    return project_all(ledger)
