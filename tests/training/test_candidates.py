"""Retrieval-aware pairs: a line never finds itself, candidates vary, and the right code is at times missing."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from pathlib import Path
from zlib import crc32

import pyarrow.parquet as pq
import pytest

from agent.models.prompts import PromptCandidates, Prompts
from index.catalogue.catalogue import Catalogue
from index.records import AXES, CatalogueLine, CodeSystem
from training.adapters.candidates import SPARE, cross_fitted, folds_of
from training.adapters.pairs import CandidateSource, Partition, pairs_of, write_pairs
from training.leak import TEST_TERM, TRAIN, LeakGuard, near_keys
from training.split import Split

K = 5


@pytest.fixture(scope="module")
def small() -> Catalogue:
    catalogue = Catalogue.builtin()
    return dataclasses.replace(catalogue, searchable_lines=catalogue.searchable_lines[::24])


def _part_of(line: CatalogueLine) -> str | None:
    # Spellings of one term lie in one part, as in the real split.
    number = crc32(near_keys(line.text)[0].encode()) % 10
    return None if number == 7 else TEST_TERM if number == 3 else TRAIN


@pytest.fixture(scope="module")
def found(small: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PromptCandidates]:
    folder = tmp_path_factory.mktemp("found")
    result = cross_fitted(small, _part_of, folder, k=K, seed=13, folds=2, steps=20)
    assert not list(folder.glob("encoder-*")) and not list(folder.glob("*.part"))
    return dict(result)


def _speaking(catalogue: Catalogue) -> list[CatalogueLine]:
    from training.corpus import speaks_for_axis

    return [line for line in catalogue.searchable_lines if speaks_for_axis(line)]


def test_every_line_with_a_part_gets_candidates(small: Catalogue, found: dict[str, PromptCandidates]) -> None:
    assert set(found) == {line.line_id for line in _speaking(small) if _part_of(line)}
    assert all(0 < len(shown) <= K + SPARE for shown in found.values())


def test_a_line_never_shows_itself_or_its_spelling(
    small: Catalogue, found: dict[str, PromptCandidates]
) -> None:
    for line in _speaking(small):
        for _, text in found.get(line.line_id, ()):
            assert not set(near_keys(text)) & set(near_keys(line.text))


def test_no_measuring_line_is_shown(small: Catalogue, found: dict[str, PromptCandidates]) -> None:
    shown = {(code, text) for candidates in found.values() for code, text in candidates}
    learnt = {(line.code, line.text) for line in _speaking(small) if _part_of(line) == TRAIN}
    assert shown <= learnt


def test_spellings_of_a_term_share_a_fold() -> None:
    spellings = ("Pankreaskopf-Karzinom", "Carcinom vom Pancreaskopf", "Pankreaskopfkarzinom")
    lines = [dataclasses.replace(_line(), line_id=text, text=text) for text in spellings]
    for some in (lines, lines[::-1]):
        assert len(set(folds_of(some, 1000).values())) == 1
    others = [dataclasses.replace(_line(), line_id=str(n), text=f"Karzinom {n}") for n in range(50)]
    assert set(folds_of(others, 3).values()) == {0, 1, 2}


def test_another_setting_finds_again(
    small: Catalogue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = dataclasses.replace(small, searchable_lines=small.searchable_lines[::9])
    caplog.set_level(logging.INFO, "training")
    for k in (3, 3, 4):
        cross_fitted(few, _part_of, tmp_path, k=k, seed=13, folds=2, steps=2)
    assert len(caplog.messages) == 2 * 3  # the second call found everything there


def _line(code: str = "C50.9") -> CatalogueLine:
    return CatalogueLine("x:1", code, "Mammakarzinom", "synonym", CodeSystem.ICD10GM, "x", "x.txt")


SHOWN: PromptCandidates = (
    *((f"C{n}.0", f"Zeile {n}") for n in range(30, 35)),
    ("C50.9", "Brustkrebs"),
    ("C61", "Prostata"),
)


def test_prompts_of_training_vary_and_at_times_lack_the_right_code() -> None:
    finds = CandidateSource.of(K, {"x:1": (SHOWN[5], *SHOWN[:5], SHOWN[6])}, [("x:1", "C50.9")])
    drawn = [finds.drawn("x:1", "C50.9", TRAIN, str(n)) for n in range(2000)]
    assert set(map(len, drawn)) == {3, 4, 5}
    assert {shown[0][0] for shown in drawn} >= {"C50.9", "C30.0", "C31.0"}
    missing = sum("C50.9" not in [code for code, _ in shown] for shown in drawn) / len(drawn)
    assert 0.08 < missing < 0.12
    assert finds.drawn("x:1", "C50.9", TRAIN, "7") == finds.drawn("x:1", "C50.9", TRAIN, "7")


def test_what_the_retriever_misses_counts_towards_the_tenth() -> None:
    lines = [(str(n), "C50.9") for n in range(20)]
    by_line = {str(n): SHOWN[:5] if n < 2 else (SHOWN[5], *SHOWN[:5]) for n in range(20)}
    assert CandidateSource.of(K, by_line, lines).taken_out == 0.0
    by_line["1"] = by_line["2"]
    assert CandidateSource.of(K, by_line, lines).taken_out == pytest.approx(0.05 / 0.95)


def test_prompts_that_measure_show_what_the_agent_would() -> None:
    finds = CandidateSource(K, {"x:1": SHOWN})
    [pair] = [pair for pair in pairs_of(_line(), TEST_TERM, 13, finds) if pair.task == "icd10gm"]
    assert pair.candidates == tuple(code for code, _ in SHOWN[:K])
    assert pair.prompt == Prompts("instruct", K).question("Mammakarzinom", CodeSystem.ICD10GM, SHOWN[:K])


def test_recognition_shows_no_candidates() -> None:
    finds = CandidateSource(K, {"x:1": SHOWN})
    assert all(not pair.candidates for pair in pairs_of(_line(), TRAIN, 13, finds) if pair.task == "tumour")


def test_pairs_hold_their_candidates(
    small: Catalogue, found: dict[str, PromptCandidates], tmp_path: Path
) -> None:
    lines = _speaking(small)
    places = Partition(LeakGuard.of(Split((lines[0],), (lines[1],)), share=0.0), frozenset())
    made = write_pairs(small, places, tmp_path, seed=13, files={}, source=CandidateSource(K, found))
    rows = pq.read_table(tmp_path / "train.parquet").to_pylist()
    with_candidates = [row for row in rows if row["candidates"]]
    assert made["candidates"] == K and "cross-fitted" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert {row["task"] for row in with_candidates} == {axis.value for axis in AXES}
    for row in with_candidates[:500]:
        assert all(f"{code}: " in row["prompt"] for code in row["candidates"])
        assert len(row["candidates"]) == len(row["candidate_lines"]) <= K
    share = Counter(row["code"] in row["candidates"] for row in with_candidates)
    assert made["without_the_right_code"] == pytest.approx(share[False] / share.total(), abs=1e-3)
