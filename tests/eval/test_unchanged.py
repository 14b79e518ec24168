"""The comparison of answers finds each kind of change, and a record holds no text."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.unchanged import differences, repository_texts

ANSWER = {"tumour": True, "icd10gm": {"code": "C61", "confidence": 0.98, "evidence": [{"line_id": "a:1"}]}}


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({**ANSWER, "tumour": False}, "tumour"),
        ({"tumour": True}, "icd10gm"),
        ({**ANSWER, "icd10gm": {**ANSWER["icd10gm"], "code": "C67.9"}}, "icd10gm.code"),  # type: ignore[dict-item]
        ({**ANSWER, "icd10gm": {**ANSWER["icd10gm"], "confidence": 0.98001}}, "icd10gm.confidence"),  # type: ignore[dict-item]
        ({**ANSWER, "icd10gm": {**ANSWER["icd10gm"], "evidence": []}}, "icd10gm.evidence"),  # type: ignore[dict-item]
    ],
)
def test_a_change_is_found(changed: dict[str, object], where: str) -> None:
    assert [found.partition(":")[0] for found in differences(ANSWER, changed)] == [where]


def test_rounding_and_new_fields_are_no_change() -> None:
    after = {**ANSWER, "problem": None, "icd10gm": {**ANSWER["icd10gm"], "confidence": 0.98 + 1e-9}}  # type: ignore[dict-item]
    assert list(differences(ANSWER, after)) == []


def test_all_texts_of_the_repository_are_compared() -> None:
    names = [name for name, _ in repository_texts()]
    assert len(names) == len(set(names)) > 2500
    assert {Path(name.rpartition(":")[0]).suffix for name in names} == {".tsv", ".txt"}
