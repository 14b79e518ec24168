"""The hand-written tables that composed texts are made from: sites, morphologies, named diagnoses, phrases.

    sites, morphologies = load_sites(), load_morphologies()
    PHRASES["dates"]                                # ('ED {m}/{y}', 'ED {y}', …)
    morphologies[0].plausibility("C50.4")           # 0.0 where nobody would write the combination

All are tab-separated with a header; several values in a cell are parted by `|`, blanks at the end of one are
written as `_`. In `morphologies.tsv` a
noun may carry its own gender (`f:Raumforderung`), the sites that it is used at (`Myom@C54,C55`) and, after
`>`, the topography that it names when it stands alone (`uterines Karzinosarkom@C54,C55>C55.9`; `>-` where
it names none); the column `sites` holds topography prefixes with an optional weight (`C50:10`), `*` for
all and `!C71` for an exclusion.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.catalogue.overrides import TableError, table_rows

TABLES = Path(__file__).parent / "tables"
SITE_FORMS = ("nouns", "genitives", "locatives", "compounds", "adjectives", "abbreviations")
SITE_COLUMNS = ("topography", "weight", *SITE_FORMS, "paired")
MORPHOLOGY_COLUMNS = ("morphology", "weight", "gender", "nouns", "suffixes", "abbreviations", "sites")
DIAGNOSIS_COLUMNS = ("icd10", "topography", "morphology", "weight", "terms")
PHRASE_COLUMNS = ("use", "note", "phrases")
_SUFFIX_GENDERS = {"krebs": "m", "tumor": "m", "nävus": "m", "raumforderung": "f", "metastase": "f",
                   "metastasierung": "f", "metastasen": "p", "filiae": "p"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """One row of `sites.tsv`: how the clinic names a topography. `genitives` carry their article
    (`des Sigmas`), `locatives` their preposition (`im Sigma`), `compounds` are first elements
    (`Sigma` + karzinom), `adjectives` stems without ending (`pulmonal`)."""

    topography: str
    weight: float
    nouns: tuple[str, ...]
    genitives: tuple[str, ...]
    locatives: tuple[str, ...]
    compounds: tuple[str, ...]
    adjectives: tuple[str, ...]
    abbreviations: tuple[str, ...]
    paired: bool


@dataclass(frozen=True, slots=True)
class Term:
    """A tumour name in the nominative; `gender` is n, m, f or p (plural); `sites` are the topography
    prefixes that it is used at (empty: wherever its morphology is); `implied` is the topography that the
    name says by itself, `-` where it says none, None where the sites of its morphology decide."""

    text: str
    gender: str
    sites: tuple[str, ...] = ()
    implied: str | None = None

    def used_at(self, topography: str) -> bool:
        return not self.sites or topography.startswith(self.sites)


@dataclass(frozen=True, slots=True)
class Morphology:
    """One row of `morphologies.tsv`. `suffixes` are second elements of compounds with a site."""

    code: str
    weight: float
    nouns: tuple[Term, ...]
    suffixes: tuple[Term, ...]
    abbreviations: tuple[Term, ...]
    site_weights: dict[str, float]
    everywhere: bool

    @property
    def histology(self) -> int:
        return int(self.code[:4])

    @property
    def behaviour(self) -> str:
        return self.code[5]

    def plausibility(self, topography: str) -> float:
        """Relative frequency at a site, 0 where the combination is not written; the longest prefix decides."""
        for length in range(len(topography), 2, -1):
            weight = self.site_weights.get(topography[:length])
            if weight is not None:
                return weight
        return 1.0 if self.everywhere else 0.0


@dataclass(frozen=True, slots=True)
class NamedDiagnosis:
    """One row of `diagnoses.tsv`: terms whose codes do not follow from site and morphology alone."""

    icd10: str | None
    topography: str | None
    morphology: str | None
    weight: float
    terms: tuple[str, ...]


def load_sites(path: Path = TABLES / "sites.tsv") -> tuple[Site, ...]:
    """Reads `sites.tsv`. Raises `TableError` naming file and row."""
    sites = []
    for where, row in table_rows(path, SITE_COLUMNS):
        if not values(row["nouns"]):
            raise TableError(f"{where}: no noun for {row['topography']}.")
        forms = {form: values(row[form]) for form in SITE_FORMS}
        paired = row["paired"] in ("1", "true", "yes", "ja")
        sites.append(Site(row["topography"], _number(where, row["weight"]), **forms, paired=paired))
    return tuple(sites)


def load_morphologies(path: Path = TABLES / "morphologies.tsv") -> tuple[Morphology, ...]:
    """Reads `morphologies.tsv`. Raises `TableError` naming file and row."""
    morphologies = []
    for where, row in table_rows(path, MORPHOLOGY_COLUMNS):
        code, gender = row["morphology"], row["gender"]
        if len(code) != 6 or code[4] != "/" or not (code[:4] + code[5]).isdigit():
            raise TableError(f"{where}: {code!r} is no morphology code such as 8140/3.")
        if gender not in ("n", "m", "f"):
            raise TableError(f"{where}: gender {gender!r} is none of n, m, f.")
        weights, everywhere = _site_weights(where, row["sites"])
        nouns = tuple(_term(value, gender) for value in values(row["nouns"]))
        if not nouns:
            raise TableError(f"{where}: no noun for {code}.")
        morphologies.append(
            Morphology(
                code,
                _number(where, row["weight"]),
                nouns,
                tuple(_term(value, _suffix_gender(value)) for value in values(row["suffixes"])),
                tuple(_term(value, gender) for value in values(row["abbreviations"])),
                weights,
                everywhere,
            )
        )
    return tuple(morphologies)


def load_diagnoses(path: Path = TABLES / "diagnoses.tsv") -> tuple[NamedDiagnosis, ...]:
    """Reads `diagnoses.tsv`; empty code cells become None. Raises `TableError` naming file and row."""
    diagnoses = []
    for where, row in table_rows(path, DIAGNOSIS_COLUMNS):
        terms = values(row["terms"])
        if not terms:
            raise TableError(f"{where}: no term for {row['icd10']}.")
        codes: dict[str, Any] = {axis: row[axis] or None for axis in DIAGNOSIS_COLUMNS[:3]}
        diagnoses.append(NamedDiagnosis(**codes, weight=_number(where, row["weight"]), terms=terms))
    return tuple(diagnoses)


def load_phrases(path: Path = TABLES / "phrases.tsv") -> dict[str, tuple[str, ...]]:
    """Reads `phrases.tsv`: what is written around a diagnosis, by use; rows of one use belong together."""
    phrases: dict[str, tuple[str, ...]] = {}
    for _, row in table_rows(path, PHRASE_COLUMNS):
        phrases[row["use"]] = phrases.get(row["use"], ()) + values(row["phrases"])
    return phrases


def values(cell: str) -> tuple[str, ...]:
    """The values of a cell; `_` in them is a blank at an end, `\\n` a line break."""
    stripped = (value.strip() for value in cell.split("|"))
    return tuple(value.replace("_", " ").replace("\\n", "\n") for value in stripped if value)


def _number(where: str, cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        raise TableError(f"{where}: the weight {cell!r} is no number.") from None
    if number < 0:
        raise TableError(f"{where}: the weight {cell} is negative.")
    return number


def _term(value: str, gender: str) -> Term:
    value, _, implied = value.partition(">")
    text, _, sites = value.partition("@")
    if text[1:2] == ":" and text[0] in "nmfp":
        gender, text = text[0], text[2:]
    return Term(text, gender, tuple(sites.split(",")) if sites else (), implied or None)


def _suffix_gender(value: str) -> str:
    text = value.partition("@")[0]
    return next((gender for ending, gender in _SUFFIX_GENDERS.items() if text.endswith(ending)), "n")


def _site_weights(where: str, cell: str) -> tuple[dict[str, float], bool]:
    weights: dict[str, float] = {}
    everywhere = False
    for value in filter(None, (part.strip() for part in cell.split(","))):
        prefix, _, weight = value.partition(":")
        if prefix == "*":
            everywhere = True
        elif prefix.startswith("!"):
            weights[prefix[1:]] = 0.0
        else:
            weights[prefix] = _number(where, weight) if weight else 1.0
    if not weights and not everywhere:
        raise TableError(f"{where}: no site.")
    return weights, everywhere


PHRASES = load_phrases()
