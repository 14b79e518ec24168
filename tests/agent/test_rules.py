"""The vocabulary's tables: each row's example is its test."""

from __future__ import annotations

import pytest

from agent.prepare.rules import Rule, pattern, rules, table

ROWS = list(dict.fromkeys(rule for rows in rules().values() for rule in rows))


def whole_words(text: str, start: int, end: int) -> str:
    """A stretch with the rest of the words that it begins and ends in."""
    while start and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return text[start:end].strip()


def found(label: str, text: str) -> str:
    return " + ".join(whole_words(text, *match.span()) for match in pattern(label).finditer(text))


@pytest.mark.parametrize("rule", ROWS, ids=lambda rule: f"{rule.labels[0]}: {rule.pattern}")
def test_example(rule: Rule) -> None:
    assert {label: found(label, rule.example) for label in rule.labels} == dict.fromkeys(
        rule.labels, rule.expected
    )
    assert table._alone(rule).search(rule.example) is not None, (
        f"{rule.where}: the row does not speak in its example"
    )
