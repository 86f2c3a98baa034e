"""What is wrong with a document is refused with the file, the line and the reason."""

import time

import pytest

from app.limits import POLICY_MAX_BYTES
from app.policies.loader import PolicyProblem, load_policy
from tests.builders import SHIPPED_TEXT, edited

FILE = "policies/next.yaml"
HERE = "# here"


def problems_of(text: str | bytes) -> list[PolicyProblem]:
    result = load_policy(text, file=FILE)
    assert isinstance(result, list)
    return result


def line_of(text: str, marker: str = HERE) -> int:
    (line,) = (number for number, each in enumerate(text.split("\n"), 1) if marker in each)
    return line


AMOUNT = 'ceiling: {yuan: 500000, cite: "14.3"}'
BAND = """          at_least: {yuan: 1000000, cite: "14.2"}
          below: {yuan: 2000000, cite: "14.2"}
"""
CHOICE = """choice:
  kind: highest
  cite: "14.4"
  reading: highest
"""
LIMITS = """limits:
  - per: month
    ceiling: {yuan: 500000, cite: "14.3"}
  - per: half-year
    ceiling: {yuan: 2000000, cite: "14.5"}
"""
STEP_AMOUNT = "answer: 暂按上限,每个1000万元5万元。零售增长奖励全额口径待明确,原文只规定了上限。\n    status: open"

REFUSALS = {
    # The vocabulary.
    "unknown-key": ("level: municipal", "level: municipal\ncolour: red  # here", "colour: unknown key 'colour'"),
    "unknown-key-inside": (
        AMOUNT,
        'ceiling:\n      yuan: 500000\n      cite: "14.3"\n      currency: CNY  # here',
        "limits.0.ceiling.currency: unknown key 'currency'",
    ),
    "unknown-kind-of-reward": (
        "    reward:\n      kind: per-whole-step",
        "    reward:  # here\n      kind: per-mille",
        "measures.0.reward: Invalid value 'per-mille'",
    ),
    "unknown-level": ("level: municipal", "level: galactic  # here", "level: Invalid enum value 'galactic'"),
    "missing-key": ("issuer: 营口市人民政府\n", "", "the document: Object missing required field `issuer`"),
    "missing-key-inside": (
        "  - id: rounding\n    question: 金额如何取整?\n",
        "  - id: rounding  # here\n",
        "readings.14: Object missing required field `question`",
    ),
    "unknown-clause": ('cite: "14.4"', 'cite: "14.9"  # here', "unknown clause '14.9'"),
    "unknown-reading": ("reading: growth-exact", "reading: growth-exakt  # here", "unknown reading 'growth-exakt'"),
    "unknown-reading-of-the-first-period": (
        "  reading: january-february",
        "  reading: january  # here",
        "unknown reading 'january'",
    ),
    "duplicate-key": (
        "level: municipal",
        "level: municipal\nlevel: provincial  # here",
        "the key 'level' stands twice; the first is in line 10",
    ),
    "duplicate-clause": ('- id: "14.2"', '- id: "14.1"  # here', "the id '14.1' stands twice in clauses"),
    "duplicate-reading": ("- id: order", "- id: highest  # here", "the id 'highest' stands twice in readings"),
    "duplicate-measure": (
        "- id: catering-increment",
        "- id: retail-growth  # here",
        "the id 'retail-growth' stands twice in measures",
    ),
    "id-of-other-characters": (
        "policy: yingkou-2024-14",
        "policy: 营口-2024-14  # here",
        "an id is made of a-z, 0-9 and '-'",
    ),
    "empty-id": ("policy: yingkou-2024-14", 'policy: ""  # here', "an id is made of a-z, 0-9 and '-'"),
    # Sources.
    "number-without-a-source": (AMOUNT, "ceiling: {yuan: 500000}  # here", "a number without a source"),
    "rate-without-a-source": (
        'rate: {basis_points: 800, cite: "14.1"}',
        "rate: {basis_points: 800}  # here",
        "a number without a source",
    ),
    "rule-without-a-source": (CHOICE, "choice:  # here\n  kind: highest\n", "a rule without a source"),
    "band-without-a-source": (
        '        - cite: "14.2"\n          reading: catering-band\n' + BAND,
        "        -  # here\n" + BAND,
        "a rule without a source",
    ),
    # Decisions.
    "confirmed-without-a-decision": (
        "  - id: step-amount\n    question: “不超过5万元”是上限,每个1000万元实际给予多少?\n    " + STEP_AMOUNT,
        "  - id: step-amount  # here\n    question: 多少?\n    answer: 5万元。\n    status: confirmed",
        "a confirmed reading names its decision",
    ),
    "decision-of-an-open-reading": (
        STEP_AMOUNT,
        'answer: 5万元。\n    status: open\n    decision: {by: 局, document: 号, date: "2024-06-30"}  # here',
        "and only a confirmed one does",
    ),
    "decision-without-its-document": (
        STEP_AMOUNT,
        'answer: 5万元。\n    status: confirmed\n    decision: {by: 局, date: "2024-06-30"}  # here',
        "readings.1.decision: Object missing required field `document`",
    ),
    "unknown-status": (
        STEP_AMOUNT,
        "answer: 5万元。\n    status: settled  # here",
        "readings.1.status: Invalid enum value 'settled'",
    ),
    # Bands, steps, limits, coverage.
    "gap-between-bands": (
        'at_least: {yuan: 2000000, cite: "14.2"}',
        'at_least: {yuan: 2500000, cite: "14.2"}  # here',
        "a gap between bands: 2000000 and 2500000 yuan",
    ),
    "overlap-of-bands": (
        'at_least: {yuan: 2000000, cite: "14.2"}',
        'at_least: {yuan: 1500000, cite: "14.2"}  # here',
        "an overlap between bands: 2000000 and 1500000 yuan",
    ),
    "gap-between-two-bands": (
        "      tail:\n",
        "        - cite: \"14.2\"\n"
        "          at_least: {yuan: 2000001, cite: \"14.2\"}  # here\n"
        "          below: {yuan: 2000000, cite: \"14.2\"}\n"
        "          award: {yuan: 1, cite: \"14.2\"}\n"
        "      tail:\n",
        "a gap between bands: 2000000 and 2000001 yuan",
    ),
    "band-that-starts-at-nothing": (
        '        - cite: "14.2"\n          reading: catering-band\n          at_least: {yuan: 1000000',
        '        - cite: "14.2"  # here\n          reading: catering-band\n          at_least: {yuan: 0',
        "a band starts above 0 and ends above its start",
    ),
    "band-that-ends-where-it-starts": (
        '        - cite: "14.2"\n          reading: catering-band\n          at_least: {yuan: 1000000',
        '        - cite: "14.2"  # here\n          reading: catering-band\n          at_least: {yuan: 2000000',
        "a band starts above 0 and ends above its start",
    ),
    "no-band": (
        '      bands:\n        - cite: "14.2"\n          reading: catering-band\n'
        + BAND
        + '          award: {yuan: 20000, cite: "14.2"}\n',
        "      bands: []  # here\n",
        "at least one band stands before a tail",
    ),
    "tail-beyond-its-start": (
        "beyond: {yuan: 1000000, cite",
        "beyond: # here\n          {yuan: 2000001, cite",
        "the tail counts from no more than it begins at",
    ),
    "tail-without-a-step": (
        'step: {yuan: 1000000, cite: "14.2"}',
        'step: {yuan: 0, cite: "14.2"}  # here',
        "a step is more than 0",
    ),
    "steps-of-nothing": (
        'step: {yuan: 10000000, cite: "14.1"}',
        'step: {yuan: 0, cite: "14.1"}  # here',
        "a step is more than 0",
    ),
    "negative-amount": (AMOUNT, 'ceiling: {yuan: -1, cite: "14.3"}  # here', "an amount is at least 0"),
    "amount-without-end": (
        AMOUNT,
        'ceiling: {yuan: 1000000000000000, cite: "14.3"}  # here',
        "an amount is at least 0 and under 10^15 yuan",
    ),
    "negative-rate": ("{basis_points: 800, cite", "# here\n          {basis_points: -1, cite", "a rate is from 0"),
    "rate-without-end": (
        'rate: {basis_points: 800, cite: "14.1"}',
        'rate: {basis_points: 1000001, cite: "14.1"}  # here',
        "a rate is from 0 to 1000000 basis points",
    ),
    "limits-in-the-wrong-order": (
        LIMITS,
        """limits:  # here
  - per: half-year
    ceiling: {yuan: 2000000, cite: "14.5"}
  - per: month
    ceiling: {yuan: 500000, cite: "14.3"}
""",
        "one limit per month, then one per half-year, are expected",
    ),
    "a-limit-left-out": (
        LIMITS,
        'limits:  # here\n  - per: month\n    ceiling: {yuan: 500000, cite: "14.3"}\n',
        "one limit per month, then one per half-year, are expected",
    ),
    "limit-of-a-year": ("per: half-year", "per: year  # here", "limits.1.per: Invalid enum value 'year'"),
    "unknown-period": (
        'covers:\n  first: "2024-01~02"',
        'covers:  # here\n  first: "2024-01"',
        "1月、2月合并调查",
    ),
    "last-before-first": (
        'covers:\n  first: "2024-01~02"\n  last: "2024-12"',
        'covers:  # here\n  first: "2024-12"\n  last: "2024-11"',
        "the last period is before the first",
    ),
    # Forms.
    "unknown-form": ("form: E204-1", "form: E204-9  # here", "unknown form 'E204-9'"),
    "item-of-another-form": (
        "item: retail_sales",
        "item: catering_revenue  # here",
        "'catering_revenue' is not the item that every E204-1 carries",
    ),
    "item-not-always-there": ("item: retail_sales", "item: sales  # here", "'sales' is not the item"),
    # Types.
    "text-for-a-number": (AMOUNT, 'ceiling: {yuan: fifty, cite: "14.3"}  # here', "Expected `int`, got `str`"),
    "number-in-quotes": (AMOUNT, 'ceiling: {yuan: "500000", cite: "14.3"}  # here', "Expected `int`, got `str`"),
    "truth-for-a-number": (AMOUNT, 'ceiling: {yuan: true, cite: "14.3"}  # here', "Expected `int`, got `bool`"),
    "nothing-for-a-number": (AMOUNT, 'ceiling: {yuan: , cite: "14.3"}  # here', "Expected `int`, got `null`"),
    "number-for-a-text": ("responsible: 市商务局", "responsible: 5  # here", "Expected `str`, got `int`"),
    "number-for-a-clause": ('cite: "14.4"', "cite: 14  # here", "choice.cite: Expected `str | null`, got `int`"),
    "list-for-a-text": ("responsible: 市商务局", "responsible: [市商务局]  # here", "Expected `str`, got `array`"),
    "text-for-a-mapping": (AMOUNT, "ceiling: 50万元  # here", "Expected `object`, got `str`"),
    "text-for-a-list": ('prefixes: ["51", "52"]', 'prefixes: "51"', "Expected `array`, got `str`"),
    # Scalars that YAML reads as something else than they look.
    "float": (AMOUNT, 'ceiling: {yuan: 500000.0, cite: "14.3"}  # here', "'500000.0' is neither a whole number"),
    "infinity": (AMOUNT, 'ceiling: {yuan: .inf, cite: "14.3"}  # here', "'.inf' is neither a whole number"),
    "exponent": (AMOUNT, 'ceiling: {yuan: 5.0e+5, cite: "14.3"}  # here', "'5.0e+5' is neither"),
    "octal": (AMOUNT, 'ceiling: {yuan: 0500000, cite: "14.3"}  # here', "'0500000' is neither a whole number"),
    "hexadecimal": (AMOUNT, 'ceiling: {yuan: 0x7A120, cite: "14.3"}  # here', "'0x7A120' is neither"),
    "underscores": (AMOUNT, 'ceiling: {yuan: 500_000, cite: "14.3"}  # here', "'500_000' is neither"),
    "base-sixty": (AMOUNT, 'ceiling: {yuan: 8:20, cite: "14.3"}  # here', "'8:20' is neither"),
    "plus": (AMOUNT, 'ceiling: {yuan: +5, cite: "14.3"}  # here', "'+5' is neither"),
    "integer-without-end": (AMOUNT, f'ceiling: {{yuan: {"9" * 5_000}}}  # here', "is neither a whole number"),
    "timestamp": ('issued_on: "2024-05-31"', "issued_on: 2024-05-31  # here", "'2024-05-31' is neither"),
    "clause-as-a-float": ('cite: "14.4"', "cite: 14.4  # here", "put a text in quotes"),
    "yes": ("responsible: 市商务局", "responsible: yes  # here", "'yes' is neither"),
    "binary": ("responsible: 市商务局", "responsible: !!binary aGk=  # here", "is neither"),
    "own-tag": ("responsible: 市商务局", "responsible: !bureau 市商务局  # here", "is neither"),
    "own-tag-of-a-list": (
        'prefixes: ["51", "52"]',
        'prefixes: !codes ["51", "52"]',
        "the tag !codes is not part of the vocabulary",
    ),
    "set": ("responsible: 市商务局", "responsible: !!set {市商务局}  # here", "tag:yaml.org,2002:set is not part"),
    "python-object": (
        "responsible: 市商务局",
        "responsible: !!python/object/apply:os.system [id]  # here",
        "python/object/apply:os.system is not part of the vocabulary",
    ),
    "alias": ('cite: "14.4"', "cite: *clause  # here", "aliases (*name) are not part of the vocabulary"),
    "merge": ("choice:\n", "choice:\n  <<: {kind: highest}  # here\n", "a key is a plain word"),
    "number-as-a-key": ("level: municipal", "level: municipal\n5: five  # here", "a key is a plain word"),
    "list-as-a-key": ("level: municipal", "level: municipal\n[a]: b  # here", "a key is a plain word"),
    "half-a-character": (
        "responsible: 市商务局",
        'responsible: "\\ud800"  # here',
        "a text holds only characters that can be shown",
    ),
    "nul": (
        "responsible: 市商务局",
        'responsible: "a\\0b"  # here',
        "a text holds only characters that can be shown",
    ),
    # Not YAML.
    "two-colons": ("level: municipal", "level: municipal: yes  # here", "not YAML: mapping values are not allowed"),
    "tab": ("covers:\n", "covers:\n\tx: y  # here\n", "not YAML: found character '\\t' that cannot start any token"),
    "control-character": ("responsible: 市商务局", "responsible: \x07  # here", "not YAML: the character U+0007"),
}


def in_one_line(old: str, new: str) -> str:
    """Where the edit keeps its line, the marker goes to its end."""
    return new if HERE in new else f"{new}  {HERE}"


@pytest.mark.parametrize("name", [name for name in REFUSALS if name not in {"missing-key", "text-for-a-list", "own-tag-of-a-list"}])
def test_refused_with_the_line_and_the_reason(name: str) -> None:
    old, new, reason = REFUSALS[name]
    text = edited(SHIPPED_TEXT, (old, new))
    problems = problems_of(text)
    wanted = [problem for problem in problems if reason in problem.message]
    assert [problem.line for problem in wanted] == [line_of(text)], problems
    assert str(wanted[0]) == f"{FILE}:{line_of(text)}: {wanted[0].message}"
