"""No text of the development sets stands in what the models learn from, or in the examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eval.testset import read_development_sets

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "index/catalogue/lexicon/*.tsv",
    "training/texts/tables/*.tsv",
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
