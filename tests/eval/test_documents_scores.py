"""Scores of whole documents: what counts as found, false, missed; files that are none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eval.run.documents import (
    OWN,
    DocumentError,
    Scores,
    Tumour,
    calibration,
    read_documents,
    scores_of,
    table,
)


def tumour(code: str | None, metastases: tuple[str, ...] = (), *, doubtful: bool = False) -> Tumour:
    return Tumour(code, "C34.1", "8140/3", "gesichert", None, frozenset(metastases), doubtful)


@pytest.mark.parametrize(
    "gold, answer, exact, three",
    [
        ([tumour("C34.1")], [tumour("C34.1")], (1, 0, 0), (1, 0, 0)),
        ([tumour("C34.1")], [tumour("C34.3")], (0, 1, 1), (1, 0, 0)),
        ([tumour("C34.1"), tumour("C61")], [tumour("C61")], (1, 0, 1), (1, 0, 1)),
        ([], [tumour("C61")], (0, 1, 0), (0, 1, 0)),
        ([tumour("C61", doubtful=True)], [tumour("C61")], (0, 0, 0), (0, 0, 0)),
        ([tumour("C61", doubtful=True)], [], (0, 0, 0), (0, 0, 0)),
        ([tumour("C61")], [tumour("C61"), tumour("C61")], (1, 1, 0), (1, 1, 0)),
        ([tumour("C61")], [tumour(None)], (0, 0, 1), (0, 0, 1)),
    ],
)
def test_each_tumour_counts_once(
    gold: list[Tumour], answer: list[Tumour], exact: tuple[int, int, int], three: tuple[int, int, int]
) -> None:
    found = scores_of(gold, answer).found
    assert found["primaries, exact"] == exact
    assert found["primaries, three characters"] == three


def test_metastases_count_by_document() -> None:
    gold = [tumour("C34.1", ("C77.1", "C78.7")), tumour("C61")]
    answer = [tumour("C34.1", ("C78.7",)), tumour("C61", ("C79.5",))]
    assert scores_of(gold, answer).found["metastases"] == (1, 1, 1)


def test_documents_without_a_tumour_count_apart() -> None:
    assert scores_of([], []).facts["documents without a tumour"] == (1, 1)
    assert scores_of([], [tumour("C61")]).facts["documents without a tumour"] == (0, 1)
    assert "documents without a tumour" not in scores_of([tumour("C61")], []).facts


def test_intervals_hold_the_value() -> None:
    scores = [scores_of([tumour("C61")], [tumour("C61")]) for _ in range(6)]
    scores += [scores_of([tumour("C61")], [tumour("C20")]) for _ in range(4)]
    rows = {name: (value, low, high, n) for name, value, low, high, n in table(scores)}
    value, low, high, n = rows["primaries, exact, F1"]
    assert (value, n) == (0.6, 10) and low < value < high
    assert table([Scores()]) == []


def test_what_is_said_is_held_against_what_is_there() -> None:
    answer = [
        replace(tumour("C34.3"), presence=0.9, confidence=0.6),
        replace(tumour("C61"), presence=0.3, confidence=0.8),
        replace(tumour(None), presence=0.5),
    ]
    presence, code = calibration([[tumour("C34.1")]], [answer])
    assert presence == (
        "presence of a tumour",
        pytest.approx(1.7 / 3),
        pytest.approx(1 / 3),
        pytest.approx(0.35 / 3),
        3,
    )
    assert code == ("ICD-10-GM code", pytest.approx(0.7), 0.0, pytest.approx(0.5), 2)
    assert calibration([[]], [[]]) == []


def test_our_own_sets_are_there() -> None:
    sets = [read_documents(OWN / f"{name}.jsonl") for name in "abc"]
    assert [len(documents) for documents in sets] == [36, 36, 96]
    assert all(one.text and one.kind for documents in sets for one in documents)


@pytest.mark.parametrize("line", ["{", "[]", '{"text": "a"}', '{"text": "a", "tumours": [{}]}', "3"])
def test_a_line_that_is_no_document_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_text(json.dumps({"text": "a", "tumours": []}) + "\n" + line + "\n")
    with pytest.raises(DocumentError, match="line 2"):
        read_documents(path)


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DocumentError, match="UTF-8"):
        read_documents(path)
