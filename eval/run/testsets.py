"""The test sets of the ablation, by name or file, as rows with the catalogue that they may be coded with.

    testset = load_testset("heldout", shared=Path("../shared"))      # or composed, devsets, or a TSV file
    len(testset.rows), testset.sha256

`heldout`: the published split's lines of the alphabet, with a catalogue that lacks them. `composed`: clinical texts
of site-and-morphology pairs that no training saw. `devsets`: the development sets of the shared folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eval.testset import Row, TestSetError, read_development_sets, read_testset
from index.catalogue.catalogue import Catalogue
from index.records import AXES

NAMES = ("heldout", "composed", "devsets")


@dataclass(frozen=True)
class TestSet:
    """`catalogue` None is the one that is installed."""

    # Keeps pytest from taking the class for a test.
    __test__ = False

    name: str
    rows: tuple[Row, ...]
    catalogue: Catalogue | None = None

    @property
    def sha256(self) -> str:
        """Over names, texts and codes of the rows."""
        digest = hashlib.sha256()
        for row in self.rows:
            codes = [row.gold(axis) or "" for axis in AXES]
            digest.update("\0".join([row_name(row), row.text, *codes, *row.note, "\n"]).encode())
        return digest.hexdigest()


def row_name(row: Row) -> str:
    """How results name a row."""
    return f"{row.file}:{row.number}"


def load_testset(
    what: str, *, shared: Path, corpus: Path = Path("runs/models/corpus"), rows: int | None = None
) -> TestSet:
    """The first `rows` rows (None: all) of a set.

    Raises:
        TestSetError: no such set or file, or the files behind it are missing; the message says what makes them.
    """
    if what not in NAMES:
        path = Path(what)
        if not path.is_file():
            raise TestSetError(f"{what}: is no file and none of {', '.join(NAMES)}")
        found = TestSet(path.stem, _with_seen(read_testset(path), shared))
    elif what == "composed":
        found = TestSet(what, _with_seen(_composed(corpus, rows), shared))
    elif not (shared / "catalogues").is_dir():
        raise TestSetError(f"{shared}: holds no folder catalogues; name the folder with --shared")
    elif what == "devsets":
        found = TestSet(what, _with_seen(read_development_sets(shared), shared))
    else:
        found = _heldout(shared)
    return replace(found, rows=found.rows[:rows])


def _heldout(shared: Path) -> TestSet:
    from eval.bench.figures import catalogue_files
    from training.split import Split

    files = catalogue_files(shared)
    split = Split.of(files)
    rows = []
    for line in split.held_out:
        edition, _, number = line.line_id.rpartition(":")
        rows.append(Row(line.text, line.code, None, None, "", ("tumour", "unseen"), edition, int(number)))
    return TestSet("heldout", tuple(rows), split.catalogue_without(Catalogue.from_files(files)))


def _composed(corpus: Path, limit: int | None) -> tuple[Row, ...]:
    from training.corpus import NONE, UNKNOWN, read_rows

    path = corpus / "composed_heldout.parquet"
    if not path.is_file():
        raise TestSetError(
            f"{path}: is not there; `onkokode train all` (make models) writes it, see --corpus"
        )
    rows = []
    for number, row in enumerate(read_rows(path)[:limit], start=1):
        icd10, topography, morphology = (None if c in (NONE, UNKNOWN) else c for c in row.codes)
        note = {1: ("tumour",), 0: ("non_tumour",)}.get(row.tumour, ())
        rows.append(Row(row.raw, icd10, topography, morphology, "", note, path.name, number))
    return tuple(rows)


def _with_seen(rows: Sequence[Row], shared: Path) -> tuple[Row, ...]:
    """Each row's note with `seen` or `unseen`: whether a catalogue line, which training may have read, says its
    text. Without catalogue files nothing can be said, and nothing is."""
    from eval.bench.figures import catalogue_files
    from index.catalogue.lexicon import read_lexicon
    from index.text import term_key

    if not (shared / "catalogues").is_dir():
        return tuple(rows)
    files = (*catalogue_files(shared), read_lexicon())
    known = {term_key(line.text) for file in files for line in file.lines}
    return tuple(
        replace(row, note=(*row.note, "seen" if term_key(row.text) in known else "unseen")) for row in rows
    )
