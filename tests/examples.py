"""How many examples a property is tried with: `make check` asks for a tenth, `make test` for all."""

import os

ARE_FEW = bool(os.environ.get("FEW_EXAMPLES"))


def examples(number: int) -> int:
    """So many examples, or a tenth of them."""
    return number // 10 if ARE_FEW else number
