"""Parses values in a path or a query; a value that cannot exist is answered with 400."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from app.answers.moments import parse_position
from app.api.http.problems import ApiProblem
from domain.forms import FORMS
from domain.identifiers import has_uscc_shape
from domain.periods import Period, PeriodError, Window, period_of
from domain.words import parse_code

_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)


RegionParameter = Annotated[
    str | None,
    Field(
        max_length=20,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="The code of a region, or the Chinese name of a district.",
    ),
]


def _digits(given: Any) -> Any:
    """Check that a text consists of digits; pydantic would also accept `1.0`, `+1` and `1_000`."""
    if isinstance(given, str) and _DIGITS.fullmatch(given) is None:
        raise ValueError("整数只用数字0至9书写")
    return given


DIGITS: Final = BeforeValidator(_digits)
"""The validator of whole numbers; it must come last in an annotation, so that the schema keeps the bounds."""


def _position(given: Any) -> Any:
    return parse_position(given) if isinstance(given, str) else given


POSITION: Final = BeforeValidator(_position)
"""The validator of positions and sizes of the log; however large, they are compared with the head."""


def named(field: str, names: Mapping[str, str]) -> BeforeValidator:
    """Create a validator of a query parameter that accepts a code or its Chinese name."""

    def parse(given: Any) -> Any:
        return parse_code(field, given, names) if isinstance(given, str) else given

    return BeforeValidator(parse)


def parse_uscc(text: str) -> str:
    """Check a code of 18 characters of `[0-9A-Z]`.

    Raises:
        ApiProblem: 400, the text is not such a code.
    """
    if not has_uscc_shape(text):
        raise ApiProblem(400, "invalid-request", "统一社会信用代码应为18位数字和大写字母。")
    return text


def parse_window(text: str) -> Window:
    """Parse a window such as `2024H1`.

    Raises:
        ApiProblem: 400, the text is not a window.
    """
    try:
        return Window.parse(text)
    except PeriodError as error:
        raise ApiProblem(400, "window-invalid", str(error)) from error


def parse_period(text: str) -> Period:
    """Parse a period such as `2024-03` or `2024-01~02`.

    Raises:
        ApiProblem: 400, the text is not a period.
    """
    try:
        return period_of(text)
    except PeriodError as error:
        raise ApiProblem(400, "period-invalid", str(error)) from error


def parse_form(text: str) -> str:
    """Check the code of a form.

    Raises:
        ApiProblem: 400, there is no such form.
    """
    if text not in FORMS:
        raise ApiProblem(400, "unknown-form", f"表号应为{'或'.join(FORMS)}。")
    return text
