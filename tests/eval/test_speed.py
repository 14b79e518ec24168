"""Speed figures with a scripted agent, measured processes, and FAISS against brute force on small spaces."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
import pytest
from scripted_agent import ScriptedAgent

from eval.bench import speed
from eval.run.environment import peak_bytes
from index.errors import OnkokodeError
from index.records import CatalogueLine, CodeSystem
from index.search.index import Space


def test_query_texts_are_distinct_and_repeatable() -> None:
    texts = speed.query_texts(500)
    assert len(set(texts)) == 500
    assert texts == speed.query_texts(500)
    assert texts != speed.query_texts(500, seed=1)


def test_speed_section(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(speed, "_process", lambda *command: commands.append(command) or 0.25)
    probe = {"files": 2, "read": 1000, "indexed": 800, "seconds": 9.5, "peak_mb": 700.0}
    monkeypatch.setattr(speed, "_build_probe", lambda shared: probe)
    section = speed.measure_speed(ScriptedAgent(), tmp_path, texts=30, warm=5, starts=2, batches=2, builds=1)
    readings = {reading.name: reading for reading in section.readings}
    assert readings["onkokode --help"].value == 0.25
    assert readings["first answer of a new process"].repetitions == 2
    assert readings["warm single text, three axes"].repetitions == 5
    assert readings["code_many over 30 texts"].reached
    assert readings["index of all catalogue files: peak memory"].value == 700.0
    assert [command[3:] for command in commands] == [("--help",)] * 2 + [("code", "Mammakarzinom")] * 2
    assert not any(
        "index" in r.name for r in speed.measure_speed(ScriptedAgent(), None, texts=12, warm=2).readings
    )


def test_a_measured_process_that_fails_is_an_error() -> None:
    assert speed._run(sys.executable, "-c", "import eval.bench.speed; print('ok')").strip() == "ok"
    with pytest.raises(OnkokodeError, match="ended with 3: broken"):
        speed._run(sys.executable, "-c", "import sys; print('broken', file=sys.stderr); sys.exit(3)")


def test_peak_memory_is_the_process_own() -> None:
    ballast = np.ones(30_000_000)
    child = int(
        speed._run(sys.executable, "-c", "from eval.run.environment import peak_bytes; print(peak_bytes())")
    )
    assert 10e6 < child < ballast.nbytes < peak_bytes()


class RandomEncoder:
    """Unit vectors by the length of the text."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions

    def encode(self, texts: Sequence[str], system: CodeSystem) -> np.ndarray:
        return np.stack([_unit(np.random.default_rng(len(text)), 1, self.dimensions)[0] for text in texts])


def _unit(rng: np.random.Generator, rows: int, dimensions: int) -> np.ndarray:
    vectors = rng.normal(size=(rows, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _space(vectors: np.ndarray, searched: np.ndarray) -> Space:
    lines = tuple(
        CatalogueLine(f"t:{i}", f"C{i % 7:02}", f"t{i}", "synonym", CodeSystem.ICD10GM, "t", "t")
        for i in range(len(vectors))
    )
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(searched)
    codes = tuple(sorted({line.code for line in lines}))
    code_of = np.array([codes.index(line.code) for line in lines])
    return Space("icd10gm", codes, lines, code_of, vectors, flat, None, {})


TEXTS = ["x" * n for n in range(1, 60)]


def test_faiss_agrees_with_numpy_also_where_lines_are_equal() -> None:
    vectors = _unit(np.random.default_rng(1), 300, 16)
    vectors[100:200] = vectors[:100]  # every near line has a twin, so the last place is often a tie
    section = speed.measure_faiss(_space(vectors, vectors), RandomEncoder(16), k=7, texts=TEXTS)  # type: ignore[arg-type]
    shares = {share.name: share for share in section.shares}
    assert shares["same 7 nearest lines, ties by equal cosine allowed"].reached
    assert shares["same 7 nearest lines, row by row"].n == len(TEXTS)


def test_faiss_that_searches_other_vectors_is_found_out() -> None:
    rng = np.random.default_rng(2)
    section = speed.measure_faiss(
        _space(_unit(rng, 300, 16), _unit(rng, 300, 16)),
        RandomEncoder(16),  # type: ignore[arg-type]
        k=7,
        texts=TEXTS,
    )
    assert [share.hits for share in section.shares[:2]] == [0, 0]


def test_a_space_smaller_than_k() -> None:
    vectors = _unit(np.random.default_rng(3), 4, 8)
    section = speed.measure_faiss(_space(vectors, vectors), RandomEncoder(8), k=20, texts=TEXTS[:5])  # type: ignore[arg-type]
    assert [share.hits for share in section.shares] == [5, 5, 5]
