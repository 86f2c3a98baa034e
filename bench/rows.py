"""Invented months: rows in the shape of `POST /v1/returns`, and files of them, generated lazily."""

import csv
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from domain.identifiers import organisation_check_character, uscc_check_character

PERIODS = ("2024-01~02", *(f"2024-{month:02d}" for month in range(3, 13)))
HEADINGS = (
    "处理地编码",
    "统一社会信用代码",
    "单位详细名称",
    "[201-1] 行业代码(GB/T4754-2017)",
    "商品销售额;本年-本月",
    "商品销售额;上年-本月",
    "零售额;本年-本月",
    "零售额;上年-本月",
)
REGIONS = ("210802", "210803", "210804", "210811", "210881", "210882")
INDUSTRIES = ("5111", "5211", "5261")

Row = dict[str, Any]


def code(number: int) -> str:
    """The code of an invented enterprise, with both check characters valid."""
    organisation = f"MA{number:06d}"
    head = f"91210802{organisation}{organisation_check_character(organisation)}"
    return head + uscc_check_character(head)


def rows(enterprises: int, period: str) -> Iterator[Row]:
    """A month of enterprises, each with a region and an industry; every second one earns an award."""
    chance = random.Random(period)  # noqa: S311 - a benchmark is not a secret
    for number in range(enterprises):
        prior = chance.randrange(50_000, 250_000)
        current = prior * chance.randrange(80, 190) // 100
        yield {
            "form": "E204-1",
            "uscc": code(number),
            "name": f"示例企业{number}",
            "region_code": REGIONS[number % len(REGIONS)],
            "industry_code": INDUSTRIES[number % len(INDUSTRIES)],
            "period": period,
            "in_database": True,
            "figures": {
                "sales": {"current": prior * 2, "prior_year": prior * 2},
                "retail_sales": {"current": current, "prior_year": prior},
            },
        }


def write_month(path: Path, enterprises: int, period: str) -> None:
    """Write a month in the layout of the platform's export, in 千元."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        for row in rows(enterprises, period):
            sales, retail = row["figures"]["sales"], row["figures"]["retail_sales"]
            writer.writerow(
                [
                    row["region_code"],
                    row["uscc"],
                    row["name"],
                    row["industry_code"],
                    sales["current"],
                    sales["prior_year"],
                    retail["current"],
                    retail["prior_year"],
                ]
            )
