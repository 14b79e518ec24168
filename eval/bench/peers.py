"""How fast and how good the program is beside others on the same texts, in the same run.

    section = measure_peers(before=Path("../before"), shared=shared, corpus=corpus)

The peers are another checkout of the program (`git worktree add ../before COMMIT`), what a user would write in an
afternoon (TF-IDF with logistic regression; the nearest mean of static embeddings), writing codes with the same
weights, and the matrix products of the embedded model alone. Each repetition runs the checkouts one after the other in
processes of their own, so that what disturbs the machine meets both; ratios are those of one repetition.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np

from eval.bench.speed import query_texts, reading_of
from eval.report.section import Section, Share, tracked
from eval.run.environment import ROOT, shipped_weights
from eval.run.testsets import load_testset, names
from eval.testset import Row, TestSetError
from index.catalogue.catalogue import Catalogue
from index.errors import OnkokodeError
from index.records import AXES, CodeSystem

NAME = "bench"
_SETS = (
    "clinical",
    "wards",
    "wards-development",
    "notes",
    "notes-development",
    "devsets",
    "composed",
    "heldout",
)
_WARM_UP = 128
_SINGLE = 60  # texts that are coded one by one
# What a checkout's process does: code the texts on standard input, and say how long that took, and the codes.
_PROBE = """
import json, sys, time
if __name__ == "__main__":
    given = json.load(sys.stdin)
    from agent import CodingAgent
    agent, texts = CodingAgent.load(), given["texts"]
    many = {"workers": given["workers"]} if given["workers"] > 1 else {}
    list(agent.code_many(texts[: given["warm_up"]]))
    coded = agent.code_many(texts, **many)
    found, singles = [next(coded)], []
    start = time.perf_counter()
    found += coded
    seconds = time.perf_counter() - start
    for text in texts[: given["single"]]:
        begun = time.perf_counter()
        agent.code(text)
        singles.append(time.perf_counter() - begun)
    axes = ("icd10gm", "icdo_topography", "icdo_morphology")
    codes = [[one.tumour, *(getattr(one, axis).code for axis in axes)] for one in found]
    print(json.dumps({"seconds": seconds, "singles": singles, "codes": codes}))
"""
_FIRST = "from agent.apps.cli import main; main()"


def bench_texts(count: int, *, shared: Path, corpus: Path) -> list[str]:
    """At least `count` distinct texts: those of the test sets that are there, then noisy terms of the lexicon."""
    found: dict[str, None] = {}
    for name in _SETS:
        if name not in names():
            continue
        try:
            testset = load_testset(name, shared=shared, corpus=corpus)
        except (TestSetError, OnkokodeError):
            continue  # its files are not on this machine
        found.update(dict.fromkeys(row.text for row in testset.rows if row.text.strip()))
    # The first `count` of all sets would be of the first sets alone.
    every = list(found)
    chosen = every[:: max(1, len(every) // count)][:count]
    return chosen + [text for text in query_texts(count) if text not in found][: count - len(chosen)]


def measure_peers(
    *,
    before: Path | None,
    shared: Path,
    corpus: Path,
    texts: int = 10_000,
    repetitions: int = 3,
    workers: int = 2,
) -> Section:
    """Speed and answers beside the checkout `before` (None: only by itself), and beside the other peers."""
    section = Section(NAME, "Beside others", "onkokode eval bench")
    asked = bench_texts(texts, shared=shared, corpus=corpus)
    _checkouts(section, asked, before, repetitions, workers)
    _classifiers(section, shared, corpus)
    _same_weights(section, asked[:512], repetitions)
    section.details["texts"] = len(asked)
    section.notes.append(
        f"{len(asked):,} distinct texts of the test sets and, where these are few, noisy terms of the lexicon. A ratio "
        "is that of two runs that followed each other; from - to is over the repetitions. "
        f"Weights `{shipped_weights()}`."
    )
    return section


def _checkouts(
    section: Section, texts: Sequence[str], before: Path | None, repetitions: int, workers: int
) -> None:
    roots = [ROOT] if before is None else [before, ROOT]
    runs: list[dict[str, Any]] = []
    for _ in tracked(range(repetitions), "checkouts"):
        run: dict[str, Any] = {}
        for root in roots:
            run[f"{root} 1"] = _probe(root, texts, 1)
            run[f"{root} first"] = _seconds_of_first(root)
        run[f"{ROOT} {workers}"] = _probe(ROOT, texts, workers)
        runs.append(run)

    def rates(key: str) -> list[float]:
        return [(len(texts) - 1) / run[key]["seconds"] for run in runs]

    def singles(root: Path) -> list[float]:
        return [1000 * median(run[f"{root} 1"]["singles"]) for run in runs]

    one, many = rates(f"{ROOT} 1"), rates(f"{ROOT} {workers}")
    first = [run[f"{ROOT} first"] for run in runs]
    section.readings += [
        reading_of("code_many, one process", "texts/s", one),
        reading_of(f"code_many, {workers} workers", "texts/s", many, asked=1000.0, at_least=True),
        reading_of("one warm text, three axes", "ms", singles(ROOT), asked=5.0),
        reading_of("first answer of a new process", "s", first, asked=2.5),
    ]
    if before is None:
        return
    old = rates(f"{before} 1")
    section.readings += [
        reading_of("before: code_many, one process", "texts/s", old),
        reading_of("before: one warm text, three axes", "ms", singles(before)),
        reading_of("before: first answer of a new process", "s", [run[f"{before} first"] for run in runs]),
        reading_of("one process to before", "times", _ratios(one, old)),
        reading_of(f"{workers} workers to before", "times", _ratios(many, old), asked=4.0, at_least=True),
        reading_of("one warm text to before", "of its time", _ratios(singles(ROOT), singles(before))),
        reading_of(
            "first answer to before",
            "of its time",
            _ratios(first, [run[f"{before} first"] for run in runs]),
            asked=0.5,
        ),
    ]
    now, then = (runs[0][f"{root} 1"]["codes"] for root in (ROOT, before))
    shared_work = runs[0][f"{ROOT} {workers}"]["codes"]
    section.shares += [
        Share.of(
            "same codes on all axes as before",
            [a == b for a, b in zip(now, then, strict=True)],
            asked=0.999,
        ),
        Share.of(
            f"same codes with {workers} workers", [a == b for a, b in zip(now, shared_work, strict=True)]
        ),
    ]


def _probe(root: Path, texts: Sequence[str], workers: int) -> dict[str, Any]:
    given = {"texts": list(texts), "workers": workers, "warm_up": _WARM_UP, "single": _SINGLE}
    output = _run(root, _PROBE, json.dumps(given))
    found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return found


def _seconds_of_first(root: Path) -> float:
    start = time.perf_counter()
    _run(root, _FIRST, "", "code", "Mammakarzinom")
    return time.perf_counter() - start


def _run(root: Path, program: str, given: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        input=given,
        capture_output=True,
        encoding="utf-8",
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        check=False,
    )
    if done.returncode:
        # The last line names the error; a traceback's lines are of the program.
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise OnkokodeError(f"{root}: a measured process ended with {done.returncode}: {last.split(':')[0]}")
    return done.stdout


class _Classifier(Protocol):
    """What a user would write in an afternoon: texts in, ICD-10 codes out."""

    def predict(self, texts: Sequence[str]) -> Sequence[str]: ...


class TfIdf:
    """N-grams of letters and logistic regression, trained on catalogue lines."""

    name = "TF-IDF with logistic regression"

    def __init__(self, texts: Sequence[str], codes: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import SGDClassifier
        from sklearn.pipeline import make_pipeline

        self._model = make_pipeline(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32),
            SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=12, tol=None, random_state=13),
        )
        self._model.fit(list(texts), list(codes))

    def predict(self, texts: Sequence[str]) -> Sequence[str]:
        return [str(code) for code in self._model.predict(list(texts))]


class StaticMeans:
    """The nearest mean of the lines of a code, in the vectors of the embedded encoder."""

    name = "nearest mean of static embeddings"

    def __init__(self, texts: Sequence[str], codes: Sequence[str]) -> None:
        from index.search.encoder import Encoder

        self._encoder = Encoder.load()
        self._codes, owners = np.unique(codes, return_inverse=True)
        vectors = self._encoder.encode(list(texts), CodeSystem.ICD10GM)
        means = np.zeros((len(self._codes), vectors.shape[1]), np.float32)
        np.add.at(means, owners, vectors)
        self._means = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)

    def predict(self, texts: Sequence[str]) -> Sequence[str]:
        best = (self._encoder.encode(list(texts), CodeSystem.ICD10GM) @ self._means.T).argmax(1)
        return [str(self._codes[number]) for number in best]


def _classifiers(section: Section, shared: Path, corpus: Path) -> None:
    """Speed and accuracy on tumours of the sets of our own, beside the agent's."""
    rows = [
        row
        for name in ("clinical", "wards")
        for row in load_testset(name, shared=shared, corpus=corpus).rows
        if row.tumour and row.gold(CodeSystem.ICD10GM)
    ]
    lines = [
        (line.text, line.code)
        for line in Catalogue.builtin().searchable_lines
        if line.system is CodeSystem.ICD10GM and line.code
    ]
    texts, codes = zip(*lines, strict=True)
    table = [_agent_row(rows)]
    for kind in (TfIdf, StaticMeans):
        start = time.perf_counter()
        model = kind(texts, codes)
        table.append(_row(kind.name, rows, model.predict, time.perf_counter() - start))
    header = ("what", "ICD-10-GM exact", "three characters", "texts/s", "made in")
    section.tables[f"Tumours of the sets clinical and wards, n = {len(rows)}"] = header, table


def _agent_row(rows: Sequence[Row]) -> tuple[str, ...]:
    from agent import CodingAgent

    agent = CodingAgent.load(date=2024)  # the edition of the sets
    list(agent.code_many([row.text for row in rows[:_WARM_UP]]))

    def predict(texts: Sequence[str]) -> list[str]:
        return [str(one.icd10gm.code or "") for one in agent.code_many(list(texts))]

    return _row("Onkokode", rows, predict, None)


def _row(
    name: str, rows: Sequence[Row], predict: Callable[[Sequence[str]], Sequence[str]], made: float | None
) -> tuple[str, ...]:
    start = time.perf_counter()
    found = predict([row.text for row in rows])
    rate = len(rows) / (time.perf_counter() - start)
    gold = [str(row.gold(CodeSystem.ICD10GM)) for row in rows]
    exact = Share.of("exact", [a == b for a, b in zip(found, gold, strict=True)])
    three = Share.of("three", [a[:3] == b[:3] for a, b in zip(found, gold, strict=True)])
    return (
        name,
        *(f"{100 * (one.value or 0):.1f} % ({100 * one.interval.low:.1f} to {100 * one.interval.high:.1f})"
          for one in (exact, three)),
        f"{rate:,.0f}",
        "-" if made is None else f"{made:.1f} s",
    )  # fmt: skip


def _same_weights(section: Section, texts: Sequence[str], repetitions: int) -> None:
    """The embedded model by itself: as it is computed, by transformers, writing its codes, and its products alone."""
    from agent.models.compact import CompactModel
    from agent.models.local import LocalModel
    from agent.resources import EMBEDDED_ADAPTER, EMBEDDED_MODEL

    ours = CompactModel.load(EMBEDDED_MODEL, EMBEDDED_ADAPTER)
    theirs = LocalModel.load(EMBEDDED_MODEL, EMBEDDED_ADAPTER, device="cpu")
    questions = _questions(texts)
    batches = [questions[start : start + 64] for start in range(0, len(questions), 64)]
    tokens = sum(len(ours.encoder.prompts([text[0].prompt])[0]) + len(AXES) for text in questions)
    ways: dict[str, Callable[[], object]] = {
        "the embedded model, as it is computed": lambda: [ours.score(batch) for batch in batches],
        "the embedded model, by transformers": lambda: [theirs.score(batch) for batch in batches],
        "writing codes with the same weights (`generate`)": lambda: _write(theirs, batches),
        "its matrix products alone": lambda: _products(tokens, len(batches)),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in tracked(range(repetitions), "the embedded model"):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            rates[name].append(len(texts) / (time.perf_counter() - start))
    section.readings += [reading_of(name, "texts/s", found) for name, found in rates.items()]


def _questions(texts: Sequence[str]) -> list[list[Any]]:
    from agent.decide.scores import answers_of
    from agent.models.base import Question
    from agent.models.prompts import Prompts
    from agent.resources import EMBEDDED_MODEL, embedded_resources

    prompts, retriever = Prompts.of(EMBEDDED_MODEL), embedded_resources().retriever
    answers = {axis: answers_of(prompts, retriever.codes(axis), axis) for axis in AXES}
    yes_no = prompts.tumour_answer(True), prompts.tumour_answer(False)
    return [
        [
            Question(prompts.tumour_question(text), yes_no),
            *(Question(prompts.question(text, axis), some) for axis, some in answers.items()),
        ]
        for text in texts
    ]


def _write(model: Any, batches: Iterable[Sequence[Sequence[Any]]]) -> None:
    import torch

    from agent.models.generate import left_padded, pad_id

    tokenizer = model.encoder.tokenizer
    for batch in batches:
        ids = model.encoder.prompts([question.prompt for text in batch for question in text])
        padded, seen = left_padded(ids, model.model, tokenizer)
        with torch.inference_mode():
            model.model.generate(
                input_ids=padded, attention_mask=seen, max_new_tokens=1, do_sample=False,
                pad_token_id=pad_id(tokenizer),
            )  # fmt: skip


def _products(tokens: int, batches: int) -> None:
    """The products of `CompactNetwork.states` and `logits`, of so many tokens in so many batches."""
    from agent.resources import EMBEDDED_MODEL
    from index.io.tensors import read_settings

    config = read_settings(EMBEDDED_MODEL / "config.json")
    width, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    shapes = [(width, (heads + 2 * groups) * head), (heads * head, width), (width, 2 * inner), (inner, width)]
    matrices = [np.ones(shape, np.float32) for shape in shapes]
    vocabulary = np.ones((width, config["vocab_size"]), np.float32)
    rows = max(1, tokens // batches)
    given = {size: np.ones((rows, size), np.float32) for size in {shape[0] for shape in shapes}}
    asked = np.ones((64 * (1 + len(AXES)), width), np.float32)
    for _ in range(batches):
        for _ in range(config["num_hidden_layers"]):
            for matrix in matrices:
                given[len(matrix)] @ matrix
        asked @ vocabulary


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(ours, theirs, strict=True)]
