"""Detects by its columns which forms a sheet holds."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SheetForm:
    """A statistical form, described by its columns.

    Attributes:
        number: The number of the form: E204-1.
        items: The code of each item, by its name on the form.
        required: The item that every return must have.
        marks: The items that only this form has.
        industries: The first two digits of the industry codes that report on this form.
    """

    number: str
    items: dict[str, str]
    required: str
    marks: frozenset[str]
    industries: frozenset[str]


TRADE: Final = SheetForm(
    number="E204-1",
    items={"商品销售额": "sales", "零售额": "retail_sales", "网上零售额": "online_retail_sales"},
    required="零售额",
    marks=frozenset({"零售额", "网上零售额"}),
    industries=frozenset({"51", "52"}),
)
CATERING: Final = SheetForm(
    number="S204-1",
    items={
        "营业额": "turnover",
        "客房收入": "room_revenue",
        "餐费收入": "catering_revenue",
        "商品销售额": "goods_sales",
    },
    required="餐费收入",
    marks=frozenset({"营业额", "客房收入", "餐费收入"}),
    industries=frozenset({"61", "62"}),
)
FORMS: Final = (TRADE, CATERING)
_SHARED: Final = "商品销售额"


def detect_forms(items: Collection[str]) -> list[SheetForm]:
    """The forms that a sheet with these items holds; none for a sheet without items."""
    marked = [form for form in FORMS if not form.marks.isdisjoint(items)]
    return marked or ([TRADE] if items else [])


def items_on(form: SheetForm, forms: Collection[SheetForm]) -> dict[str, str]:
    """The items that a form takes from a sheet; on a sheet of both forms 商品销售额 belongs to E204-1."""
    if form is TRADE or TRADE not in forms:
        return form.items
    return {item: code for item, code in form.items.items() if item != _SHARED}
