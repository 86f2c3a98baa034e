"""Checks of what stands in a path or a query: 400 where it names nothing that can exist."""

import re
from typing import Any, Final

from pydantic import BeforeValidator

from app.answers.moments import parse_position
from app.api.http.problems import ApiProblem
from domain.forms import FORMS
from domain.identifiers import has_uscc_shape
from domain.periods import Period, PeriodError, Window, period_of

_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)


def _digits(given: Any) -> Any:
    """The text of a whole number; pydantic would take `1.0`, `+1` and `1_000` for one too."""
    if isinstance(given, str) and _DIGITS.fullmatch(given) is None:
        raise ValueError("a whole number is written in the digits 0 to 9 alone")
    return given


DIGITS: Final = BeforeValidator(_digits)
"""Of a whole number in a path or a query; it stands last, so that the schema keeps its bounds."""


def _position(given: Any) -> Any:
    return parse_position(given) if isinstance(given, str) else given


POSITION: Final = BeforeValidator(_position)
"""Of a position, or of how many events a log has: however large, it is compared with the head."""


def uscc_of(text: str) -> str:
    """A code of 18 characters of `[0-9A-Z]`."""
    if not has_uscc_shape(text):
        raise ApiProblem(400, "invalid-request", "A uscc is 18 characters of 0-9 and A-Z.")
    return text


def window_of(text: str) -> Window:
    """A half-year such as `2024H1`."""
    try:
        return Window.parse(text)
    except PeriodError as error:
        detail = "A window is a half-year: 2024H1 or 2024H2."
        raise ApiProblem(400, "window-invalid", detail) from error


def period_in(text: str) -> Period:
    """A period such as `2024-03` or `2024-01~02`."""
    try:
        return period_of(text)
    except PeriodError as error:
        detail = (
            "A period is a month such as 2024-03; January and February are surveyed together: 2024-01~02."
        )
        raise ApiProblem(400, "period-invalid", detail) from error


def form_of(text: str) -> str:
    """A form that is taken in."""
    if text not in FORMS:
        raise ApiProblem(400, "unknown-form", f"A form is {' or '.join(FORMS)}.")
    return text
