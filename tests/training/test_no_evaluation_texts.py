"""No text of the development sets stands in what the models learn from, or in the examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eval.run.documents import OWN, read_documents
from eval.testset import read_development_sets

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "index/catalogue/lexicon/*.tsv",
    "training/texts/tables/*.tsv",
    "training/documents/*.tsv",
    "training/*.py",
    "examples/*.txt",
    "agent/prepare/*.py",
)


@pytest.mark.shared_data
def test_no_development_text_stands_in_a_source(shared: Path) -> None:
    # Single short words (a disease's name) are everybody's; a phrase is somebody's text.
    texts = {
        row.text.casefold()
        for row in read_development_sets(shared)
        if len(row.text) >= 12 and " " in row.text
    }
    assert len(texts) > 150
    for pattern in SOURCES:
        paths = list(ROOT.glob(pattern))
        assert paths
        for path in paths:
            source = path.read_text(encoding="utf-8").casefold()
            cells = {cell.strip() for cell in re.split(r"[\t\n|\"]", source)}
            # The name of the file is enough: the text itself stays out of the report.
            assert not texts & cells, path
            assert not any(text in source for text in texts if len(text) >= 24), path


@pytest.mark.shared_data
def test_no_sentence_of_a_measured_document_is_learnt(shared: Path) -> None:
    """Documents that measure the reader share no sentence with those that it learns from."""
    measured = [*OWN.glob("*.jsonl"), shared / "evalsets/documents/documents.jsonl"]
    documents = [one for path in measured for one in read_documents(path)]
    written = (" ".join(said.split()) for one in documents for said in re.split(r"[.\n]\s", one.text))
    sentences = {
        said.casefold() for said in written if len(said) >= 45 and not said.startswith("Sehr geehrte")
    }
    # Other diseases are named alike by everybody.
    sentences |= {
        row.text.casefold() for row in read_development_sets(shared) if row.tumour and len(row.text) >= 24
    }
    assert len(sentences) > 800
    marks = re.compile(r"\[[a-z_]+(?:#\d)?\] ?|\{[a-z_]+:|\}")
    for path in [
        *ROOT.glob("training/documents/voices/*.tsv"),
        *ROOT.glob("training/documents/annotated/*.txt"),
    ]:
        source = " ".join(
            marks.sub("", path.read_text(encoding="utf-8").replace("\\n", " ")).split()
        ).casefold()
        assert not any(sentence in source for sentence in sentences), path
