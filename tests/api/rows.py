"""Rows of `POST /v1/returns` to start from, of made-up enterprises."""

import re
from typing import Any

from httpx2 import Response
from stdnum.cn import uscc as stdnum_uscc

from domain.identifiers import organisation_check_character
from tests.office import Office

TRADE = "E204-1"
CATERING = "S204-1"
STEP_FEN = 5_000_000
"""50,000 yuan: what one whole step of 10 million yuan of retail sales is worth."""


CHINESE = re.compile("[\u4e00-\u9fff]")


def code(number: int) -> str:
    """A code whose check characters are right."""
    organisation = f"MA{number:06d}"
    body = f"91210802{organisation}{organisation_check_character(organisation)}"
    return f"{body}{stdnum_uscc.calc_check_digit(body)}"


def trade(
    current: Any, prior_year: Any = 100_000, *, number: int = 1000, period: str = "2024-03", **other: Any
) -> dict[str, Any]:
    """A row of E204-1."""
    return {
        "form": TRADE,
        "uscc": code(number),
        "name": f"示例商贸{number}",
        "region_code": "210802",
        "industry_code": "5211",
        "period": period,
        "in_database": True,
        "figures": {"retail_sales": {"current": current, "prior_year": prior_year}},
        **other,
    }


def catering(
    current: Any, prior_year: Any = 2_000, *, number: int = 1000, period: str = "2024-03", **other: Any
) -> dict[str, Any]:
    """A row of S204-1."""
    return trade(
        0,
        number=number,
        period=period,
        **{
            "form": CATERING,
            "industry_code": "6210",
            "figures": {"catering_revenue": {"current": current, "prior_year": prior_year}},
            **other,
        },
    )


def post_bytes(
    office: Office, body: bytes, media_type: str | None = "application/json", **headers: str
) -> Response:
    """File a body as it is."""
    given = {**office.headers("statistics"), **headers}
    if media_type is not None:
        given["Content-Type"] = media_type
    return office.client.post("/v1/returns", content=body, headers=given)


def events(office: Office) -> list[dict[str, Any]]:
    """The whole log of a small ledger."""
    items: list[dict[str, Any]] = office.read("/v1/events", limit=1000)["items"]
    return items


def refused(response: Response, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, which is a problem of RFC 9457."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body.keys() >= {"type", "title", "status", "detail", "code"}
    assert CHINESE.search(body["title"]), body["title"]
    assert CHINESE.search(body["detail"]), body["detail"]
    assert (body["status"], body["code"]) == (status, code)
    return body


def named(body: dict[str, Any]) -> list[tuple[int, str | None, str]]:
    """The rows that a refusal names: row, field, code."""
    for problem in body["problems"]:
        assert problem.keys() == {"row", "field", "code", "message"}
        assert problem["message"]
    return [(problem["row"], problem["field"], problem["code"]) for problem in body["problems"]]
