"""The peers of `eval bench`: what they answer, and the texts that all are asked."""

from __future__ import annotations

from pathlib import Path

from eval.bench.peers import StaticMeans, TfIdf, bench_texts

LINES = [
    ("Mammakarzinom", "C50.9"),
    ("Karzinom der Brustdrüse", "C50.9"),
    ("Prostatakarzinom", "C61"),
    ("Adenokarzinom der Prostata", "C61"),
]


def test_texts_are_distinct_and_as_many_as_asked_for(tmp_path: Path) -> None:
    texts = bench_texts(300, shared=tmp_path, corpus=tmp_path)
    assert len(texts) == len(set(texts)) == 300 and all(text.strip() for text in texts)
    assert texts == bench_texts(300, shared=tmp_path, corpus=tmp_path)


def test_classifiers_of_an_afternoon_learn_what_they_are_shown() -> None:
    texts, codes = zip(*LINES, strict=True)
    for kind in (TfIdf, StaticMeans):
        assert list(kind(texts, codes).predict(["Mamma-Karzinom", "Karzinom, Prostata"])) == ["C50.9", "C61"]
