"""Problems in the user's data are returned as values; damage to the ledger itself is an exception."""

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one row, where, and how to correct it.

    Attributes:
        row: The index of the row in its batch, from 0.
        field: The field's path in a row of `POST /v1/returns`, or None for the row as a whole.
        code: The code of the problem in the API.
        message: The sentence for officials, in Chinese, without the row.
        conflict: Whether the row conflicts with recorded data, instead of being unacceptable in itself.
    """

    row: int
    field: str | None
    code: str
    message: str
    conflict: bool = False


class FilingWarning(msgspec.Struct, frozen=True, kw_only=True):
    """A point for the clerk to verify (核实提示): the row is recorded anyway. Fields as in `Problem`."""

    row: int
    code: str
    message: str


class LedgerIntegrityError(Exception):
    """The log contradicts an invariant that was checked when it was written."""
