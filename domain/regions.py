"""The districts of Yingkou by their code (GB/T 2260)."""

REGIONS = {
    "210802": "站前区",
    "210803": "西市区",
    "210804": "鲅鱼圈区",
    "210811": "老边区",
    "210881": "盖州市",
    "210882": "大石桥市",
}


def region_name(code: str) -> str:
    """The name of a district; a development zone outside the list gets its code as a name."""
    return REGIONS.get(code, f"处理地{code}")
