"""One name for each code, the same in output and in input."""

from typing import get_args

import pytest

from domain.events import EVENT_TYPES, LogSealed, Origin, Stage, Status, UnreadableEvent
from domain.policy.document import LIMIT_LENGTHS
from domain.red_flags.kinds import EnterpriseFlagId, GroupFlagId
from domain.words import (
    CEILINGS,
    COLUMNS,
    DIMENSIONS,
    FLAGS,
    INDUSTRIES,
    ORIGINS,
    RECORDS,
    STAGES,
    STATUSES,
    UnknownValueError,
    cut_name,
    headroom_name,
    parse_code,
    record_name,
)

ALL = (CEILINGS, COLUMNS, DIMENSIONS, FLAGS, INDUSTRIES, ORIGINS, RECORDS, STAGES, STATUSES)


def test_every_code_has_a_name() -> None:
    assert STATUSES.keys() == set(get_args(Status))
    assert STAGES.keys() == set(get_args(Stage))
    assert ORIGINS.keys() == set(get_args(Origin))
    assert RECORDS.keys() == {kind.__name__ for kind in EVENT_TYPES.values()}
    assert FLAGS.keys() == {*get_args(EnterpriseFlagId), *get_args(GroupFlagId)}
    assert list(CEILINGS) == [f"{per}-ceiling" for per in LIMIT_LENGTHS]


def test_a_name_means_one_code() -> None:
    for names in ALL:
        assert len(set(names.values())) == len(names)
        for code, name in names.items():
            assert parse_code("field", code, names) == parse_code("field", name, names) == code


@pytest.mark.parametrize("text", ["", "符合", "Eligible", "eligible "])
def test_a_value_that_is_neither_a_code_nor_a_name_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UnknownValueError) as refusal:
        parse_code("status", text, STATUSES)
    assert refusal.value.field == "status"
    assert str(refusal.value) == (
        f"没有“{text}”，已知的有：eligible（符合条件）、undetermined（暂不能确定）、not-eligible（不予奖励）"
    )


def test_what_is_cut_and_what_is_left_are_called_after_their_limit() -> None:
    assert [cut_name(limit) for limit in CEILINGS] == [
        "月度上限核减",
        "季度上限核减",
        "半年上限核减",
        "年度上限核减",
        "政策期内上限核减",
    ]
    assert [headroom_name(f"{per}-ceiling") for per in ("quarter", "half-year", "year", "policy")] == [
        "季度剩余额度",
        "半年剩余额度",
        "年度剩余额度",
        "政策期内剩余额度",
    ]


def test_an_event_is_called_by_its_type() -> None:
    assert record_name(LogSealed(size=1, root="", verifier_key=None)) == "封存台账"
    assert record_name(UnreadableEvent("")) == "无法读取的记录"
