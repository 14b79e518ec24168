"""Documents annotated by hand: marks become sentences and mentions; what cannot be used is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from training.documents.annotated import AnnotationError, faults_of, load_annotated
from training.documents.commands import voices_command
from training.documents.skeletons import VOICES

DOCUMENT = """[none] Klinik in H., Entlassbrief vom 3.4., Station 3, Zimmer 12, Chefarzt Prof. W.
[lesion] Im CT RF {place:im Segment 10 rechts}. [histology] Stanze: {name:Adenokarzinom}.
[past#2] Z.n. {name:Mamma-Ca} {side:li.} 2011. [family] Vater: {name:Melanom}.
[benign] {name:Lipom} am Rücken.
"""


def load(tmp_path: Path, text: str) -> Path:
    (tmp_path / "test.txt").write_text(text, encoding="utf-8")
    return tmp_path


def test_marks_become_sentences_and_mentions(tmp_path: Path) -> None:
    (document,) = load_annotated(load(tmp_path, DOCUMENT))
    assert "{" not in document.text and "[" not in document.text
    assert [(s.move, s.tumour) for s in document.sentences] == [
        ("none", None), ("lesion", 0), ("histology", 0), ("past", 1), ("family", None), ("benign", None),
    ]  # fmt: skip
    assert [(document.text[m.start : m.end], m.role, m.tumour) for m in document.mentions] == [
        ("im Segment 10 rechts", "place", 0),
        ("Adenokarzinom", "name", 0),
        ("Mamma-Ca", "name", 1),
        ("li.", "side", 1),
        ("Melanom", "name", None),
    ]
    for said in document.sentences:
        assert document.text[said.start : said.end] == document.text[said.start : said.end].strip()


@pytest.mark.parametrize(
    "text, remedy",
    [
        ("Kopf\n[none] " + "x" * 200, "has to begin with a mark"),
        ("[kopf] " + "x" * 200, "[kopf] is no move"),
        ("[none] {organ:Lunge} " + "x" * 200, "{organ:…} is none of"),
        ("[none] ein {Karzinom " + "x" * 200, "a brace that belongs to no mark"),
        ("[none] kurz", "4 characters"),
    ],
)
def test_a_document_that_cannot_be_used_is_named(tmp_path: Path, text: str, remedy: str) -> None:
    folder = load(tmp_path, DOCUMENT + "=====\n" + text)
    with pytest.raises(AnnotationError) as caught:
        load_annotated(folder)
    assert "document 2" in str(caught.value) and remedy in str(caught.value)
    faults, count = faults_of(folder / "test.txt")
    assert count == 2 and len(faults) == 1


def test_the_annotated_documents_are_many_and_all_usable() -> None:
    documents = load_annotated()
    assert len(documents) >= 500
    assert sum(len(one.mentions) for one in documents) > 5000


def test_the_command_checks_both_kinds_of_files(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text(DOCUMENT, encoding="utf-8")
    bad.write_text("[kopf] " + "x" * 200, encoding="utf-8")
    voice = next(iter(sorted(VOICES.glob("*.tsv"))))
    run = CliRunner()
    assert run.invoke(voices_command, [str(good), str(voice)]).exit_code == 0
    done = run.invoke(voices_command, [str(good), str(bad)])
    assert done.exit_code == 1 and "bad.txt, document 1: [kopf]" in done.output
