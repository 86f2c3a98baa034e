"""The two statistical forms that the policies use, with their items."""

import msgspec


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A form of the national survey of units above the limit.

    Attributes:
        code: The number of the form (表号).
        trade: The field of business that it covers, in Chinese.
        items: The Chinese names of the items.
        required_item: The item that every return must report.
        parts: Pairs (part, whole): the part never exceeds the whole.
        industries: The two-digit divisions of GB/T 4754-2017 that the form covers.
    """

    code: str
    trade: str
    items: dict[str, str]
    required_item: str
    parts: tuple[tuple[str, str], ...]
    industries: tuple[str, ...]


E204_1 = Form(
    code="E204-1",
    trade="批发和零售业",
    items={"sales": "商品销售额", "retail_sales": "零售额", "online_retail_sales": "网上零售额"},
    required_item="retail_sales",
    parts=(("retail_sales", "sales"),),
    industries=("51", "52"),
)

S204_1 = Form(
    code="S204-1",
    trade="住宿和餐饮业",
    items={
        "turnover": "营业额",
        "room_revenue": "客房收入",
        "catering_revenue": "餐费收入",
        "goods_sales": "商品销售额",
    },
    required_item="catering_revenue",
    parts=(("catering_revenue", "turnover"),),
    industries=("61", "62"),
)

FORMS = {form.code: form for form in (E204_1, S204_1)}
"""The forms by code. If an enterprise filed several for a period, the first gives its name and region."""
