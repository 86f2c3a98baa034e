"""Sealing the log before what rests on the seal."""

from contextlib import suppress
from pathlib import Path

from app.ledger.clock import ClockError
from app.ledger.ledger import Ledger
from app.transparency.audit_key import verifier_key_in
from app.transparency.sealing import seal
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.sealing import tell_of_seal


def seal_and_tell(ledger: Ledger, key_file: Path) -> int:
    """Seal the log, and have it say so where it is time; the position that the read models have reached."""
    seal(ledger)
    with suppress(ClockError):  # What is wanted here does not wait for it.
        tell_of_seal(ledger, verifier_key_in(key_file))
    return project_all(ledger)
