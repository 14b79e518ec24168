"""Whether a table's first row names its columns or is data already: a diagnosis must not pass for a name.

is_header(["Fall", "Diagnosetext"], rows)          # True
is_header(["4711", "Mammakarzinom links"], rows)   # False
is_header(["Sonographie"], rows)                   # None: it may be either
rows_above([["Tumorliste"], ["Fall", "Diagnose"], ["1", "Mamma-Ca"]])      # 1

What stands in a cell decides: words that columns are called by, and what no column is called by (numbers, dates,
codes, sentences, words of diagnoses, what occurs again in the column).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from index.text import normalise

_WORDS = """
abteilung adresse alter anamnese art aufnahme aufnahmedatum autor befund befunde befundtext bemerkung
bemerkungen beschreibung bezeichnung bogen case code comment cs date datei datum description diag diagnose
diagnosecode diagnosedatum diagnosekode diagnosen diagnoses diagnosesicherheit diagnosetext diagnosis dichte
dokument dx eingang einrichtung einsender entität entlassung fach fachabteilung fall falldiagnose fallnr
fallnummer feld freitext geburtsdatum geburtsjahr gekid geschlecht gm grad grading gruppe größe haupt
hauptdiagnose herkunft histo histologie icd icdo id index jahr kennung kennzeichen key klartext klinik
kommentar kurztext label land langtext lateralität lfd lokalisation melder meldung meldungs monat morpho
morphologie nachname name nebendiagnose no note notes notiz nr num number nummer op ops ort pat patient
patienten patientenid patnr pid plz postleitzahl primärtumor prognose quelle rezeptor row sap satz schlüssel
seite seitenlokalisation sex sicherheit spalte stadium station status straße tabelle tag text therapie tnm
topo topographie tumor tumorart tumordiagnose txt typ uhrzeit uid untersuchung ursprung verfahren version
vorgang vorname wert wertung zeile zeit zeitpunkt zentrum ziel zusatz zusatztext
arztbrief brief diagnostik entlassbrief epikrise freigabe onkologie pathologie sicherung
"""  # of which columns' names are made
_NAMES = frozenset(map(normalise, _WORDS.split()))
# A column may be called so, and a text may say just this.
_SAID = "ed fernmetastase fernmetastasen lokalrezidiv metastase metastasen metastasierung rezidiv rezidive verdacht"
_EITHER = frozenset(_SAID.split())
# Beside a name these are part of it: `Klinische Diagnose`, `Gesicherte Diagnose`.
_QUALIFIER = re.compile(
    r"\w+(?:isch|lich)(?:e[rsnm]?)?|(?:un)?gesicherte[rsnm]?|vermutete[rsnm]?|bekannte[rsnm]?|(?:benign|malign)e[rsnm]?|klin|hist|path|onkol|alle|"
    r"(?:aktuell|weiter|erst|letzt|neu|primaer|sekundaer)e[rsnm]?|laut|gemaess|bei|aus|zum|ist|ja|nein"
)
_LINKS = frozenset(
    ("der", "des", "die", "und", "von", "am", "in", "im", "mit", "fuer", "zu", "zur", "zum", "nach", "o", "m")
)
_ENDINGS = (
    "datum", "nummer", "nr", "text", "diagnose", "diagnosen", "kode", "code", "schluessel", "status", "jahr",
)  # fmt: skip
_IDENTIFIER = re.compile(r"[^\W\d]\w*_\w+")
_CAMEL = re.compile(r"(?<=[a-zäöü])(?=[A-ZÄÖÜ])")
_NUMBER = re.compile(r"(?=\D*\d)[\d\s.,:;/+\-–TZ]+|[A-Z]\d\d(?:\.[\d-]{1,2})?[+*!]?|\d{4}/\d")
_YEAR = re.compile(r"(?:19|20)\d\d")
# What diagnoses, of tumours and others, are made of.
_DIAGNOSIS = re.compile(
    r"[kc]ar[zc]inom|sar[kc]om|lymphom|leuk[aä]|leukaem|melanom|blastom|adenom|gliom|myelom|metasta|neoplas|"
    r"malign|polyp|lithiasis|itis\b|iasis\b|pathie|syndrom|insuffizienz|frakt|hernie|[äa]mie\b|zyst|abszess|"
    r"infarkt|embol|thromb|sklerose|stenose|an[äa]mie|fieber|blutung|schmerz|verdacht|zustand|rezidiv|"
    r"(?<!\w)(?:[zc]a|z\.? ?n\.?|v\.? ?a\.?|bds|li|re|ed|nsclc|sclc|cll|aml|all|cml|hcc|rcc|nhl|mds)(?!\w)|-ca\b|"
    r"(?:om|ose|oma|inom)(?:s|es|e)?\b",
    re.IGNORECASE,
)  # fmt: skip
_TICK = re.compile(r"ja|nein|yes|no|true|false|[jnxy+-]", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]+")
_MOST_ABOVE = 10  # rows above a header
_LONG_NAME, _MANY_WORDS = 60, 6


def is_header(first: Sequence[Any], sample: Sequence[Sequence[Any]], named: str | None = None) -> bool | None:
    """Whether a row is a header; None where that cannot be told. `sample` are the rows that follow, `named` is
    what the person calls the text column."""
    cells = [(place, cell) for place, cell in enumerate(first) if cell is not None and str(cell).strip()]
    if holds_name(first, named):
        return True
    names = data = 0
    for place, cell in cells:
        below = [str(row[place]).strip() for row in sample if place < len(row) and row[place] is not None]
        below = [value for value in below if value]
        figures = bool(below) and all(map(_NUMBER.fullmatch, below))
        if _YEAR.fullmatch(str(cell).strip()):
            continue  # in either
        if not isinstance(cell, str) or _is_figure(cell) or cell.strip() in below:
            data += 1
        elif _is_name(cell):
            names += 1
        elif _is_data(cell):
            # Over figures and ticks it may well be what they are about.
            data += not (figures or (below and all(map(_TICK.fullmatch, below))))
        elif figures:
            names += 1
    if names and data:
        # One that is called like a column is no proof, and one that reads like a diagnosis is none against it.
        return True if names > data else None
    return None if names == data else names > data


def holds_name(first: Sequence[Any], named: str | None) -> bool:
    """Whether a row holds the name that a person calls the text column by; a number names a place."""
    if named is None or named.strip().isdigit():
        return False
    return any(normalise(named) == normalise(str(cell)) != "" for cell in first if cell is not None)


def rows_above(sample: Sequence[Sequence[Any]], named: str | None = None) -> int | None:
    """How many of the first rows stand above the header: a title, the date of an export, blank rows; the first has fewer
    columns than the others. None where that cannot be told."""
    ends = [_end(row) for row in sample]
    [(usual, _)] = Counter(end for end in ends if end).most_common(1) or [(0, 0)]
    above = next((place for place, end in enumerate(ends) if end >= usual), 0)
    if not above:
        # A title as wide as the table, by the row below it.
        titled = len(sample) > 1 and is_header(sample[1], sample[2:], named) is True
        return int(titled and is_header(sample[0], sample[1:], named) is not True)
    header = above <= _MOST_ABOVE and is_header(sample[above], sample[above + 1 :], named) is True
    if header and (2 * ends[0] <= usual or is_header(sample[0], sample[1:]) is not True):
        return above
    if 2 * ends[0] > usual or holds_name(sample[0], named):
        return 0
    # A first row of data that lacks its last values.
    return 0 if is_header(sample[0], sample[1:], named) is False else None


def _end(row: Sequence[Any]) -> int:
    """How many cells there are up to the last that says something."""
    return max(
        (place for place, cell in enumerate(row, start=1) if cell is not None and str(cell).strip()),
        default=0,
    )


def plausible(name: str) -> bool:
    """Whether a column's name may stand in a message: nothing in it speaks for a text of the table."""
    return _is_name(name) or not (_is_data(name) or set(name) & set(",;:?!"))


def _is_name(cell: str) -> bool:
    if len(cell) > _LONG_NAME:
        return False
    if _IDENTIFIER.fullmatch(cell.strip()) and not _DIAGNOSIS.search(cell):
        return True
    words = [word.rstrip("0123456789") for word in normalise(_CAMEL.sub(" ", cell)).split()]
    return any(map(_is_word, words)) and all(
        not word or _is_word(word) or word in _LINKS or word in _EITHER or _QUALIFIER.fullmatch(word)
        for word in words
    )


def _is_word(word: str) -> bool:
    """Whether a normalised word is one that columns are called by."""
    return word in _NAMES or word.endswith(_ENDINGS)


def _is_figure(cell: str) -> bool:
    cell = cell.strip()
    return len(cell) > _LONG_NAME or bool(_NUMBER.fullmatch(cell)) or len(cell.split()) > _MANY_WORDS


def _is_data(cell: str) -> bool:
    if _is_figure(cell):
        return True
    if _is_name(cell) or all(word in _EITHER for word in normalise(cell).split()):
        return False
    # `Diagnose` ends like a disease, too.
    rest = _LETTERS.sub(lambda word: "" if _is_word(normalise(word[0])) else word[0], cell)
    return bool(_DIAGNOSIS.search(rest))
