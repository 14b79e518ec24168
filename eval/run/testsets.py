"""The test sets by name or file, as rows with the catalogue that they may be coded with.

    testset = load_testset("heldout", shared=Path("../shared"))      # or another of `names()`, or a TSV file
    len(testset.rows), testset.sha256

A file with the columns of `eval/testsets/clinical.tsv` in that folder is a test set by its name; what is made from
other files has a function in `_MADE`. Nothing else has to be said to add one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import click

from eval.run.environment import ROOT
from eval.testset import LETTERS, Row, TestSetError, own_testsets, read_development_sets, read_testset
from index.catalogue.catalogue import Catalogue
from index.catalogue.layouts import CatalogueFile
from index.catalogue.store import files_below
from index.records import AXES
from index.text import term_key

_KEPT_BACK = 2000  # texts of each kind that is no tumour


def shared_folder() -> Path:
    """ONKOKODE_SHARED, else ../shared beside the checkout."""
    return ROOT / os.environ.get("ONKOKODE_SHARED", "../shared")


shared_option = click.option(
    "--shared",
    type=click.Path(path_type=Path, resolve_path=True),
    default=shared_folder,
    help="The folder with catalogues/ and evalsets/. Default: ONKOKODE_SHARED, else ../shared.",
)
_corpus_option = click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    default=Path("runs/models/corpus"),
    show_default=True,
    help="Corpus of `onkokode train all`, for the test set composed.",
)


def places_options(command: Any) -> Any:
    """Adds where the files behind test sets lie; a command hands both on as `load_testset(name, **places)`."""
    return shared_option(_corpus_option(command))


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
        """Over names, texts, codes and expectations of the rows."""
        digest = hashlib.sha256()
        for row in self.rows:
            codes = [row.gold(axis) or "" for axis in AXES]
            expected = [f"{name}={value}" for name, value in row.expected.items()]
            parts = [row_name(row), row.text, *codes, *row.note, *expected, "\n"]
            digest.update("\0".join(parts).encode())
        return digest.hexdigest()


def row_name(row: Row) -> str:
    """How results name a row."""
    return f"{row.file}:{row.number}"


def names() -> tuple[str, ...]:
    """The names that `load_testset` knows."""
    return (*_MADE, *own_testsets())


def load_testset(
    what: str, *, shared: Path, corpus: Path = Path("runs/models/corpus"), rows: int | None = None
) -> TestSet:
    """The first `rows` rows (None: all) of a set.

    Raises:
        TestSetError: no such set or file, or the files behind it are missing; the message says what makes them.
    """
    if what in _MADE:
        found = _MADE[what](shared, corpus)
    else:
        path = own_testsets().get(what, Path(what))
        if not path.is_file():
            raise TestSetError(f"{what}: is no file and none of {', '.join(names())}")
        found = TestSet(path.stem, _with_seen(read_testset(path), shared))
    return replace(found, rows=found.rows[:rows])


@cache
def catalogue_files(shared: Path) -> tuple[CatalogueFile, ...]:
    """Every catalogue in `shared/catalogues`, parsed; files that are none are left out."""
    return tuple(files_below([shared / "catalogues"]))


def _heldout(shared: Path, corpus: Path) -> TestSet:
    """The published split's lines of the alphabet, with a catalogue that lacks them."""
    from training.split import Split

    files = _files_of(shared)
    split = Split.of(files)
    rows = []
    for line in split.held_out:
        edition, _, number = line.line_id.rpartition(":")
        rows.append(Row(line.text, line.code, None, None, "", ("tumour", "unseen"), edition, int(number)))
    return TestSet("heldout", tuple(rows), split.catalogue_without(Catalogue.from_files(files)))


def _composed(shared: Path, corpus: Path) -> TestSet:
    """Clinical texts of site-and-morphology pairs that no training saw."""
    from training.corpus import NONE, UNKNOWN, read_rows

    path = corpus / "composed_heldout.parquet"
    if not path.is_file():
        raise TestSetError(
            f"{path}: is not there; `onkokode train all` (make models) writes it, see --corpus"
        )
    rows = []
    for number, row in enumerate(read_rows(path), start=1):
        icd10, topography, morphology = (None if c in (NONE, UNKNOWN) else c for c in row.codes)
        note = {1: ("tumour",), 0: ("non_tumour",)}.get(row.tumour, ())
        rows.append(Row(row.raw, icd10, topography, morphology, "", note, path.name, number))
    return TestSet("composed", _with_seen(rows, shared))


def _devsets(shared: Path, corpus: Path) -> TestSet:
    """The development sets of the shared folder. Nothing may be tuned on single rows of them."""
    _files_of(shared)
    return TestSet("devsets", _with_seen(read_development_sets(shared), shared))


def _letters(shared: Path, corpus: Path) -> TestSet:
    """Whole diagnosis blocks of letters, a diagnosis per line, with the code of the letter's first tumour line."""
    by_letter: dict[str, list[Row]] = {}
    for row in _devsets(shared, corpus).rows:
        if row.file == LETTERS:
            by_letter.setdefault(row.source_id, []).append(row)
    rows = []
    for block in by_letter.values():
        tumour = next((row for row in block if row.tumour and row.icd10), None)
        if tumour is not None:
            rows.append(replace(tumour, text="\n".join(row.text for row in block)))
    return TestSet("letters", tuple(rows))


def _recognition(shared: Path, corpus: Path) -> TestSet:
    """Tumour or not: the development sets, and catalogue lines of no tumour that training kept back (one in
    twenty, by the hash of the text)."""
    from training.corpus import kept_back

    rows = [
        replace(row, icd10=None, icdo_topography=None, icdo_morphology=None)
        for row in _devsets(shared, corpus).rows
        if row.tumour_stated
    ]
    kinds = kept_back(Catalogue.from_files(_files_of(shared)), _KEPT_BACK)
    for kind, texts in zip(("OPS procedures", "alphabet, no tumour"), kinds, strict=True):
        rows += [Row(text, None, None, None, "", ("non_tumour",), kind, n) for n, text in enumerate(texts, 1)]
    return TestSet("recognition", tuple(rows))


def _traps(shared: Path, corpus: Path) -> TestSet:
    """Texts with one trap each, for the agent, with the built-in lexicon."""
    from eval.run.traps import read_traps

    return TestSet("traps", read_traps(), Catalogue.builtin())


_MADE: dict[str, Callable[[Path, Path], TestSet]] = {
    "heldout": _heldout,
    "composed": _composed,
    "devsets": _devsets,
    "letters": _letters,
    "recognition": _recognition,
    "traps": _traps,
}


def _files_of(shared: Path) -> Iterable[CatalogueFile]:
    if not (shared / "catalogues").is_dir():
        raise TestSetError(f"{shared}: holds no folder catalogues; name the folder with --shared")
    return catalogue_files(shared)


def _with_seen(rows: Sequence[Row], shared: Path) -> tuple[Row, ...]:
    """Each row's note with `seen` or `unseen`: whether a catalogue line, which training may have read, says its
    text. Without catalogue files nothing can be said, and nothing is."""
    if not (shared / "catalogues").is_dir():
        return tuple(rows)
    known = _known_terms(shared)
    return tuple(
        replace(row, note=(*row.note, "seen" if term_key(row.text) in known else "unseen")) for row in rows
    )


@cache
def _known_terms(shared: Path) -> frozenset[str]:
    from index.catalogue.lexicon import read_lexicon

    files = (*catalogue_files(shared), read_lexicon())
    return frozenset(term_key(line.text) for file in files for line in file.lines)
