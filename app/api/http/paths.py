"""Checks of what stands in a path or a query: 400 where it names nothing that can exist."""

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


RegionAsked = Annotated[
    str | None,
    Field(
        max_length=20,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Its code, or the Chinese name of a district.",
    ),
]


def _digits(given: Any) -> Any:
    """The text of a whole number; pydantic would take `1.0`, `+1` and `1_000` for one too."""
    if isinstance(given, str) and _DIGITS.fullmatch(given) is None:
        raise ValueError("整数只用数字0至9书写")
    return given


DIGITS: Final = BeforeValidator(_digits)
"""Of a whole number in a path or a query; it stands last, so that the schema keeps its bounds."""


def _position(given: Any) -> Any:
    return parse_position(given) if isinstance(given, str) else given


POSITION: Final = BeforeValidator(_position)
"""Of a position, or of how many events a log has: however large, it is compared with the head."""


def named(field: str, names: Mapping[str, str]) -> BeforeValidator:
    """Of a query parameter that is one of some codes: it is taken by its Chinese name too."""

    def parse(given: Any) -> Any:
        return parse_code(field, given, names) if isinstance(given, str) else given

    return BeforeValidator(parse)


def uscc_of(text: str) -> str:
    """A code of 18 characters of `[0-9A-Z]`."""
    if not has_uscc_shape(text):
        raise ApiProblem(400, "invalid-request", "统一社会信用代码应为18位数字和大写字母。")
    return text


def window_of(text: str) -> Window:
    """A window such as `2024H1`."""
    try:
        return Window.parse(text)
    except PeriodError as error:
        raise ApiProblem(400, "window-invalid", str(error)) from error


def period_in(text: str) -> Period:
    """A period such as `2024-03` or `2024-01~02`."""
    try:
        return period_of(text)
    except PeriodError as error:
        raise ApiProblem(400, "period-invalid", str(error)) from error


def form_of(text: str) -> str:
    """A form that is taken in."""
    if text not in FORMS:
        raise ApiProblem(400, "unknown-form", f"表号应为{'或'.join(FORMS)}。")
    return text
