"""Reads the bodies of filing and withdrawing, and describes them."""

from typing import Any, Final, cast

from app.api.http.paths import parse_form, parse_period, parse_uscc
from app.api.http.problems import ApiProblem
from app.runtime.limits import PROBLEMS_MOST_LISTED, RETURNS_MAX_ROWS
from app.use_cases.filing.deciding import Withdrawal
from app.use_cases.filing.first import First
from app.use_cases.filing.rows import COLUMNS, OPTIONAL, REQUIRED, Draft, RowReader, printable
from domain.errors import Problem
from domain.events import Origin, Source, Stage
from domain.forms import FORMS
from domain.money import FEN_PER_UNIT
from domain.words import ORIGINS, STAGES

_BATCH_KEYS: Final = {"unit", "stage", "source", "returns"}


class BatchProblems:
    """The problems of rows that are invalid by themselves.

    Attributes:
        found: The first problems, as many as a response lists.
        rows: The number of rows with problems.
    """

    def __init__(self) -> None:
        self.found: First[Problem] = First(PROBLEMS_MOST_LISTED)
        self.rows = 0


def read_batch(data: Any) -> tuple[list[Draft], BatchProblems]:
    """Read a body: the drafts of its valid rows, and the problems of the others.

    Raises:
        ApiProblem: The body is not valid.
    """
    if not isinstance(data, dict):
        raise _invalid("请求正文应为含unit和returns的JSON对象。")
    unknown = sorted(data.keys() - _BATCH_KEYS)
    if unknown:
        raise _invalid(f"没有名为“{printable(unknown[0])}”的项，可用的有：{'、'.join(sorted(_BATCH_KEYS))}。")
    unit, stage, rows = data.get("unit"), data.get("stage", "final"), data.get("returns")
    if not isinstance(unit, str) or unit not in FEN_PER_UNIT:
        raise _invalid(f"unit（单位）必填，应为{'、'.join(FEN_PER_UNIT)}之一。")
    if not isinstance(stage, str) or stage not in STAGES:
        raise _invalid("stage（阶段）应为final（审定数）或preliminary（初报数）。")
    if not isinstance(rows, list):
        raise _invalid("returns（数据行）必填，应为列表。")
    if len(rows) > RETURNS_MAX_ROWS:
        detail = f"一次最多登记{RETURNS_MAX_ROWS}行，现有{len(rows)}行，请分批提交。"
        raise ApiProblem(413, "too-large", detail)
    reader = RowReader(unit=unit, stage=cast("Stage", stage), source=_source(data.get("source")))
    drafts: list[Draft] = []
    problems = BatchProblems()
    for index, row in enumerate(rows):
        read = reader.read(index, row)
        if isinstance(read, Draft):
            drafts.append(read)
        else:
            problems.found.extend(read)
            problems.rows += 1
    return drafts, problems


def _source(data: Any) -> Source | None:
    if data is None:
        return None
    if not isinstance(data, dict) or data.keys() - {"name", "sha256"}:
        raise _invalid("source（来源文件）应为含name和sha256的JSON对象。")
    name, sha256 = data.get("name"), data.get("sha256")
    if name is not None and (not isinstance(name, str) or printable(name) != name or not name):
        raise _invalid("source.name（文件名）应为不超过500个可显示的字符，或为null。")
    if sha256 is not None and not (
        isinstance(sha256, str) and len(sha256) == 64 and set(sha256) <= set("0123456789abcdef")  # noqa: PLR2004
    ):
        raise _invalid("source.sha256（文件指纹）应为64位小写十六进制数字，或为null。")
    return Source(name=name, sha256=sha256)


def read_withdrawal(data: Any, *, uscc: str, period: str, form: str) -> Withdrawal:
    """Read the withdrawal that a path and a body request.

    Raises:
        ApiProblem: The path or the body is not valid.
    """
    parse_uscc(uscc), parse_period(period), parse_form(form)
    if not isinstance(data, dict) or data.keys() - {"reason", "origin", "document"}:
        raise _invalid("请求正文应为JSON对象，含reason，可另含origin和document。")
    reason, origin, document = data.get("reason"), data.get("origin"), data.get("document")
    if not isinstance(reason, str) or not reason.strip() or printable(reason) != reason:
        raise _invalid("reason（原因）必填，应为不超过500个可显示的字符。")
    if origin is not None and (not isinstance(origin, str) or origin not in ORIGINS):
        raise _invalid(f"origin（更正来源）应为{'、'.join(ORIGINS)}之一，或为null。")
    if document is not None and (
        not isinstance(document, str) or not document.strip() or printable(document) != document
    ):
        raise _invalid("document（依据文号）应为不超过500个可显示的字符，或为null。")
    return Withdrawal(
        uscc=uscc,
        form=form,
        period=period,
        reason=reason.strip(),
        origin=cast("Origin | None", origin),
        document=document,
    )


def _invalid(detail: str) -> ApiProblem:
    return ApiProblem(422, "invalid-request", detail)


def _row_schema() -> dict[str, Any]:
    amount = {"type": ["integer", "string", "null"], "description": "In the unit of the batch."}
    figure = {
        "type": "object",
        "required": ["current", "prior_year"],
        "additionalProperties": False,
        "properties": dict.fromkeys(COLUMNS, amount),
    }
    text = {"type": ["string", "null"]}
    items = sorted({item for form in FORMS.values() for item in form.items})
    properties: dict[str, Any] = {
        "form": {"type": "string", "enum": list(FORMS)},
        "uscc": {"type": "string", "pattern": "^[0-9A-Z]{18}$"},
        "name": {"type": "string", "minLength": 1},
        "region_code": {"type": "string"},
        "industry_code": {"type": "string", "description": "GB/T 4754-2017, two to four digits"},
        "period": {"type": "string", "description": "2024-03; January and February: 2024-01~02"},
        "in_database": {"type": "boolean"},
        "figures": {
            "type": "object",
            "additionalProperties": False,
            "properties": dict.fromkeys(items, figure),
        },
        **dict.fromkeys(OPTIONAL, text),
        "origin": {"type": ["string", "null"], "enum": [*ORIGINS, None]},
        "source_row": {
            "type": ["object", "null"],
            "properties": {"sheet": text, "row": {"type": "integer", "minimum": 1}},
        },
    }
    return {
        "type": "object",
        "required": list(REQUIRED),
        "additionalProperties": False,
        "properties": properties,
    }


BATCH_SCHEMA: Final = {
    "schema": {
        "type": "object",
        "required": ["unit", "returns"],
        "additionalProperties": False,
        "properties": {
            "unit": {"type": "string", "enum": list(FEN_PER_UNIT)},
            "stage": {"type": "string", "enum": list(STAGES), "default": "final"},
            "source": {
                "type": ["object", "null"],
                "properties": {"name": {"type": ["string", "null"]}, "sha256": {"type": ["string", "null"]}},
            },
            "returns": {"type": "array", "maxItems": RETURNS_MAX_ROWS, "items": _row_schema()},
        },
    },
    "example": {
        "unit": "qianyuan",
        "stage": "final",
        "source": {"name": "2024-03 E204-1.xlsx", "sha256": None},
        "returns": [
            {
                "form": "E204-1",
                "uscc": "91210802MA0010002C",
                "name": "某某商贸有限公司",
                "region_code": "210802",
                "industry_code": "5211",
                "period": "2024-03",
                "in_database": True,
                "figures": {"retail_sales": {"current": 123456, "prior_year": 100000}},
            }
        ],
    },
}
"""The body of `POST /v1/returns`."""

WITHDRAWAL_SCHEMA: Final = {
    "schema": {
        "type": "object",
        "required": ["reason"],
        "additionalProperties": False,
        "properties": {
            "reason": {"type": "string", "minLength": 1},
            "origin": {"type": ["string", "null"], "enum": [*ORIGINS, None]},
            "document": {"type": ["string", "null"]},
        },
    },
    "example": {"reason": "登记到了另一家企业名下", "origin": "returned"},
}
"""The body of a withdrawal."""
