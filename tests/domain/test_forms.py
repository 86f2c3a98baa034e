"""The two forms, their items, and the districts."""

from domain.forms import FORMS
from domain.regions import REGIONS, region_name


def test_the_forms_are_in_the_order_in_which_a_name_is_taken_from_them() -> None:
    assert list(FORMS) == ["E204-1", "S204-1"]
    assert all(form.code == code for code, form in FORMS.items())


def test_the_trade_form_carries_its_items() -> None:
    form = FORMS["E204-1"]
    assert form.items == {
        "sales": "商品销售额",
        "retail_sales": "零售额",
        "online_retail_sales": "网上零售额",
    }
    assert form.required_item == "retail_sales"
    assert form.parts == (("retail_sales", "sales"),)
    assert form.industries == ("51", "52")


def test_the_catering_form_carries_its_items() -> None:
    form = FORMS["S204-1"]
    assert form.items == {
        "turnover": "营业额",
        "room_revenue": "客房收入",
        "catering_revenue": "餐费收入",
        "goods_sales": "商品销售额",
    }
    assert form.required_item == "catering_revenue"
    assert form.parts == (("catering_revenue", "turnover"),)
    assert form.industries == ("61", "62")


def test_the_districts_of_yingkou_have_their_names() -> None:
    assert REGIONS == {
        "210802": "站前区",
        "210803": "西市区",
        "210804": "鲅鱼圈区",
        "210811": "老边区",
        "210881": "盖州市",
        "210882": "大石桥市",
    }
    assert region_name("210804") == "鲅鱼圈区"


def test_a_development_zone_is_named_by_its_code() -> None:
    assert region_name("210871") == "处理地210871"
