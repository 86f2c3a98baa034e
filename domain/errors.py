"""Problems in the user's data are returned values; what breaks the ledger itself is an exception."""

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one row, where, and how to mend it.

    Attributes:
        row: The row's index from 0 in its batch.
        field: The field's path in a row of `POST /v1/returns`, or None for the row as a whole.
        code: A problem code of the contract.
        message: The sentence of the glossary, in Chinese, without the row.
        conflict: Whether it conflicts with what is recorded, instead of being unacceptable by itself.
    """

    row: int
    field: str | None
    code: str
    message: str
    conflict: bool = False


class FilingWarning(msgspec.Struct, frozen=True, kw_only=True):
    """What a clerk should verify (核实提示): the row is recorded all the same. Fields as in `Problem`."""

    row: int
    code: str
    message: str


class LedgerIntegrityError(Exception):
    """What was read from the log contradicts an invariant that was checked when it was written."""
