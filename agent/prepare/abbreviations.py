"""The abbreviations of German tumour diagnoses, each with the context that it needs, and other short spellings.

    ABBREVIATIONS["NSCLC"]           # Abbreviation('nicht-kleinzelliges Bronchialkarzinom', 'always')
    CONTEXTUAL["HB"]                 # Hauptbronchus beside a lung, Harnblase beside a urothelium

They stand in `abbreviations.tsv`. A key is the token as written; a key with a final point also stands for the token
with the point. Case counts. `when` is `always`, a name of `CONTEXTS`, or stems of words one of which the diagnosis
has to hold besides; `..._or_alone` also holds where the abbreviation is all that the diagnosis says. The first
reading whose context is given counts; where none is, the token stays: a wrong expansion costs more than a missing one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from index.catalogue.overrides import table_rows


class Abbreviation(NamedTuple):
    """What an abbreviation stands for, and the name of the context in which it does."""

    expansion: str
    when: str


_HAEMATOLOGY = (
    r"leuk[äe]mi|lymphom|blast|jak-?2|calr|philadelphia|bcr|myelo|igg|iga|igm|kappa|lambda|remission"
    r"|hydroxyurea|hydroxycarb|litalir|anagrelid|ruxo|milz|knochenmark|splenomeg|\bphase\b|b-zell|t-zell|ann[ -]arbor|hodgkin|thrombo|polyglob"
)
CONTEXTS: dict[str, re.Pattern[str]] = {
    "breast": re.compile(r"mamma|brust|duktal|lobulär|\bdcis\b|\blcis\b|quadrant", re.I),
    "lung": re.compile(r"lunge|bronch|pulmo|kleinzellig|\bn?sclc\b|pancoast|lappen|segment", re.I),
    "myeloma": re.compile(r"plasmozytom|plasmazell|igg|iga\b|kappa|lambda|leichtketten|salmon|\biss\b", re.I),
    # A "Plasmozytom" with the stage, the protein or the organ damage of a myeloma is one.
    "myeloma_staged": re.compile(
        r"\b(?:r-)?iss\b|salmon|\bcrab\b|\big[gad]\b|kappa|lambda|leichtkette", re.I
    ),
    "melanoma": re.compile(
        r"haut|breslow|clark|nävus|superfiziell|spreitend|nodulär|akral|lentig|aderhaut|kutan|tumordicke"
        r"|rücken|schulter|unterschenkel|oberschenkel|oberarm|unterarm|kopfhaut|wange|schläfe",
        re.I,
    ),
    "ovary": re.compile(r"ovar|eierstock|serös|muzinös", re.I),
    "thyroid": re.compile(r"schilddrüse|thyreo|struma|papillär|follikulär|medullär", re.I),
    "hodgkin": re.compile(r"hodgkin", re.I),
    "haematology_or_alone": re.compile(_HAEMATOLOGY, re.I),
    "follicular_or_alone": re.compile(_HAEMATOLOGY + r"|\bgrad\b", re.I),
}


def speaks(when: str, words: str) -> bool:
    """Whether the other words of a diagnosis give the context: `always`, a name of `CONTEXTS`, or stems parted by
    bars, one of which has to be among the words."""
    return when == "always" or _pattern(when).search(words) is not None


@lru_cache(maxsize=1024)
def _pattern(when: str) -> re.Pattern[str]:
    return CONTEXTS.get(when) or re.compile("|".join(map(re.escape, when.split("|"))), re.I)


def _load() -> tuple[dict[str, Abbreviation], dict[str, tuple[Abbreviation, ...]]]:
    """Abbreviations with one meaning everywhere, and those with readings that need a context, in their order."""
    readings: dict[str, list[Abbreviation]] = {}
    for _, row in table_rows(
        Path(__file__).parent / "abbreviations.tsv", ("abbreviation", "expansion", "when")
    ):
        readings.setdefault(row["abbreviation"], []).append(Abbreviation(row["expansion"], row["when"]))
    certain = {key: found[0] for key, found in readings.items() if found[0].when == "always"}
    return certain, {key: tuple(found) for key, found in readings.items() if key not in certain}


ABBREVIATIONS, CONTEXTUAL = _load()

# First parts that German writes as one word with Karzinom, Metastase or Tumor. Names (Ewing, Wilms,
# Klatskin, Kaposi) are no part of it: they keep their hyphen.
COMPOUND_STEMS: dict[str, str] = {
    **{
        stem.lower(): stem
        for stem in ["Mamma", "Prostata", "Bronchial", "Lungen", "Kolon", "Rektum", "Rektal", "Sigma", "Magen", "Pankreas", "Ovarial", "Zervix", "Endometrium", "Korpus", "Uterus", "Vulva", "Vaginal", "Harnblasen", "Blasen", "Nieren", "Nierenzell", "Urothel", "Nierenbecken", "Harnleiter", "Hoden", "Penis", "Schilddrüsen", "Larynx", "Pharynx", "Oropharynx", "Hypopharynx", "Nasopharynx", "Epipharynx", "Ösophagus", "Zungen", "Zungengrund", "Zungenrand", "Tonsillen", "Mundboden", "Mundhöhlen", "Lippen", "Leber", "Leberzell", "Gallenblasen", "Gallengangs", "Gallengang", "Papillen", "Hirn", "Knochen", "Haut", "Pleura", "Peritoneal", "Adeno", "Plattenepithel", "Basalzell", "Spinalzell", "Siegelring", "Siegelringzell", "Duodenal", "Dünndarm", "Dickdarm", "Darm", "Appendix", "Anal", "Nebennieren", "Lymphknoten", "Weichteil", "Speicheldrüsen", "Parotis", "Thymus", "Merkelzell", "Zäkum", "Tuben", "Brust", "Kardia", "Antrum", "Stimmband", "Stimmlippen", "Skelett", "Wirbel", "Wirbelkörper", "Milz", "Kolorektal", "Kehlkopf", "Speiseröhren", "Portio", "Tubar", "Trachea"]
    },
    "bronchus": "Bronchial", "lunge": "Lungen", "blase": "Blasen", "harnblase": "Harnblasen", "niere": "Nieren",
    "ovar": "Ovarial", "schilddrüse": "Schilddrüsen", "sd": "Schilddrüsen", "lk": "Lymphknoten",
    "nz": "Nierenzell", "pe": "Plattenepithel", "colon": "Kolon", "rectum": "Rektum", "cervix": "Zervix",
    "corpus": "Korpus", "collum": "Zervix", "kollum": "Zervix", "pancreas": "Pankreas", "oesophagus": "Ösophagus", "coecum": "Zäkum", "caecum": "Zäkum",
    "zunge": "Zungen", "tonsille": "Tonsillen", "lippe": "Lippen", "tube": "Tuben", "gallenblase": "Gallenblasen",
    "vagina": "Vaginal", "bronchien": "Bronchial", "nebenniere": "Nebennieren", "speicheldrüse": "Speicheldrüsen", "papille": "Papillen",
}  # fmt: skip

COMPOUND_HEADS: dict[str, str] = {
    "ca": "karzinom", "ca.": "karzinom", "karz.": "karzinom", "karzinom": "karzinom", "karzinome": "karzinome",
    "karzinoms": "karzinoms", "carcinom": "karzinom", "metastasen": "metastasen", "metastase": "metastase",
    "metas": "metastasen", "mets": "metastasen", "filiae": "metastasen", "filia": "metastase",
    "metastasierung": "metastasierung", "tu": "tumor", "tumor": "tumor", "tu.": "tumor", "rezidiv": "rezidiv",
    "npl": "neoplasie", "ly": "lymphom", "ly.": "lymphom", "karz": "karzinom",
}  # fmt: skip

# Spellings, applied inside words; the replacement takes the capital of what it replaces. Latin phrases
# that the catalogues keep (Carcinoma in situ, Sarcoma, Ductus) are left alone.
SPELLINGS: tuple[tuple[str, str], ...] = (
    (r"c?carcinom(?!a)", "karzinom"),
    (r"[ck]ar[czt]+i(?:nm|om|mon|non|nim|mom|onm|nomm)(?=\b|e[ns]?\b|s\b)", "karzinom"),
    (r"karcinom(?!a)", "karzinom"),
    (r"[ck]arcinos(?=en?\b)", "karzinos"),
    (r"sarcom(?!a|ere)", "sarkom"),
    (r"(?<=[a-zäöü])mening\.\Z", "meningeom"),
    (r"(?<=[a-zäöü])sark\.\Z", "sarkom"),
    (r"(?<=[a-zäöü])(?:karz|karzin)\.\Z", "karzinom"),
    (r"(?<![a-zäöü])colon(?!el|ie|is)", "kolon"),
    (r"(?<=[a-zäöü])colon(?=\b|karz|tum)", "kolon"),
    (r"[cz](?:oe|ae|ö|ä)[ck]um", "zäkum"),
    (r"cervix", "zervix"),
    (r"(?<![a-zäöü])cardia(?![cklst])|(?<![a-zäöü])cardia(?=ca\b|karz|tum)", "kardia"),
    (r"(?<![a-zäöü])(?:oe|e)sophag", "ösophag"),
    (r"(?<=gastro)(?:oe|e)sophag", "ösophag"),
    (r"pancreas", "pankreas"),
    (r"rectum", "rektum"),
    (r"rectosigm", "rektosigm"),
    (r"leu[kc]aemi(?![ac]\w?)|leucämi", "leukämi"),
    (r"haemangio(?=m(?!a)|sark|endo|blast)", "hämangio"),
    (r"ductal", "duktal"),
    (r"mucinös|muzinoes|mucinoes", "muzinös"),
    (r"zellulaer|cellul(?:är|aer)", "zellulär"),
    (r"lobulaer", "lobulär"),
    (r"serös|seroes", "serös"),
    (r"grosszell", "großzell"),
    (r"druese", "drüse"),
    (r"(?<![a-z])aussen", "außen"),
    (r"höhle|hoehle", "höhle"),
    (r"metastasirt", "metastasiert"),
    (r"plattenephitel|plattenepitel", "plattenepithel"),
)
