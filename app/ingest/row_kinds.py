"""Tells rows that hold no return from those that do, by what their cells say."""

import re
from collections.abc import Iterable
from typing import Final

from app.ingest.text import compact, plain

_TOTAL = re.compile(r".{0,12}(?:合计|总计|小计|共计)(?:数|额|值)?(?:\(.*\)|[0-9]+[家户个])?:?")
_SIGNATURE = re.compile(
    r"\(?(?:注|备注|附注|说明|数据来源|填表人|填报人|制表人?|审核人|复核人|经办人?|负责人|单位负责人|统计负责人"
    r"|联系人|联系电话|报出日期|(?:导出|打印|制表|填报|生成|更新)(?:时间|日期))[0-9]*:"
)
_SECTION = re.compile(
    r"\(?[0-9一二三四五六七八九十]{1,3}[.、)](?![0-9])|(?:第[0-9]+页|共[0-9]+页)|以下(?:空白|无正文)"
)
_COLUMN_LETTER: Final = re.compile("[甲乙丙丁戊己庚辛壬癸]|[A-Z]{1,2}|[0-9]{1,2}")
_LEAST_OF_A_CODE: Final = 3


def is_like_code(text: str) -> bool:
    """Whether a text may be a code, even a damaged one: then its row is a return, whatever else it says."""
    return sum(character.isascii() and character.isalnum() for character in plain(text)) >= _LEAST_OF_A_CODE


def is_total(text: str) -> bool:
    """Whether a cell is the label of a total: 合计, 批发业小计, 总计(12户)."""
    return _TOTAL.fullmatch(compact(text)) is not None


def is_note(text: str) -> bool:
    """Whether a row that begins with this text is a note or a signature, whatever its other cells say."""
    return _SIGNATURE.match(compact(text)) is not None


def is_section(text: str) -> bool:
    """Whether a row without figures that begins with this text is a section, a note or a footer."""
    return _SECTION.match(compact(text)) is not None


def are_column_letters(texts: Iterable[str]) -> bool:
    """Whether the cells of a row number the columns, as the forms of the survey do: 甲, 乙, 1, 2."""
    written = [compact(text) for text in texts]
    given = [text for text in written if text]
    return len(given) > 1 and all(_COLUMN_LETTER.fullmatch(text) for text in given)
