"""What the reader has to know besides the file."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What the person who hands in a file says about it.

    Attributes:
        file_name: The name of the file without folders.
        unit: The code of the unit of its amounts: "qianyuan".
        period: The period of its rows in normal form, if the person gave one.
    """

    file_name: str
    unit: str
    period: str | None
