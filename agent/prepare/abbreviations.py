"""The abbreviations of German tumour diagnoses as data, each with the context that it needs.

    ABBREVIATIONS["NSCLC"]           # Abbreviation('nicht-kleinzelliges Bronchialkarzinom', 'always')

A key is the token as written; a key with a final point also stands for the token with the point. Case
counts. `when` names a context of `CONTEXTS`: `always`, or a pattern that the diagnosis has to match, or
`haematology_or_alone`, which also holds where the abbreviation is all that the diagnosis says. Where a
context is not given, the token stays: a wrong expansion costs more than a missing one.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Abbreviation(NamedTuple):
    """What an abbreviation stands for, and the name of the context in which it does."""

    expansion: str
    when: str


_HAEMATOLOGY = (
    r"leuk[äe]mi|lymphom|blast|jak-?2|calr|philadelphia|bcr|myelo|igg|iga|igm|kappa|lambda|remission"
    r"|knochenmark|splenomeg|\bphase\b|b-zell|t-zell|ann[ -]arbor|hodgkin|thrombo|polyglob"
)
CONTEXTS: dict[str, re.Pattern[str]] = {
    "breast": re.compile(r"mamma|brust|duktal|lobulär|\bdcis\b|\blcis\b|quadrant", re.I),
    "lung": re.compile(r"lunge|bronch|pulmo|kleinzellig|\bn?sclc\b|pancoast|lappen|segment", re.I),
    "myeloma": re.compile(r"plasmozytom|plasmazell|igg|iga\b|kappa|lambda|leichtketten|salmon|\biss\b", re.I),
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

_ALWAYS: dict[str, str] = {
    "Ca": "Karzinom", "CA": "Karzinom", "Ca.": "Karzinom", "Karz.": "Karzinom", "Carc.": "Karzinom",
    "Tu": "Tumor", "Tu.": "Tumor", "Tm": "Tumor", "Tm.": "Tumor", "NPL": "Neoplasie",
    "Filiae": "Metastasen", "Filia": "Metastase", "Filien": "Metastasen", "Metas": "Metastasen",
    "Mets": "Metastasen", "Mts.": "Metastasen", "MTS": "Metastasen", "Metast.": "Metastasen",
    "metast.": "metastasiert", "filialisiert": "metastasiert", "filiarisiert": "metastasiert",
    "Filialisierung": "Metastasierung", "Filiarisierung": "Metastasierung", "Fernmetas": "Fernmetastasen",
    "Rez.": "Rezidiv", "Rezid.": "Rezidiv", "LK": "Lymphknoten", "Lk": "Lymphknoten", "LKs": "Lymphknoten",
    "NNH": "Nasennebenhöhlen", "inv.": "invasiv", "invas.": "invasiv", "malig.": "maligne",
    "undiff.": "undifferenziert", "CIS": "Carcinoma in situ", "Cis": "Carcinoma in situ",
    # epithelial tumours
    "NSCLC": "nicht-kleinzelliges Bronchialkarzinom", "SCLC": "kleinzelliges Bronchialkarzinom",
    "LCNEC": "großzelliges neuroendokrines Karzinom", "HCC": "hepatozelluläres Karzinom",
    "CCC": "cholangiozelluläres Karzinom", "iCCC": "intrahepatisches cholangiozelluläres Karzinom",
    "ICC": "intrahepatisches cholangiozelluläres Karzinom",
    "iCCA": "intrahepatisches cholangiozelluläres Karzinom",
    "RCC": "Nierenzellkarzinom", "NZK": "Nierenzellkarzinom", "NZCA": "Nierenzellkarzinom",
    "ccRCC": "klarzelliges Nierenzellkarzinom", "pRCC": "papilläres Nierenzellkarzinom",
    "PCa": "Prostatakarzinom", "PCA": "Prostatakarzinom", "PDAC": "duktales Adenokarzinom des Pankreas",
    "BCC": "Basalzellkarzinom", "BZK": "Basalzellkarzinom", "SCC": "Plattenepithelkarzinom",
    "PEK": "Plattenepithelkarzinom", "PEC": "Plattenepithelkarzinom", "PECA": "Plattenepithelkarzinom",
    "HNSCC": "Plattenepithelkarzinom des Kopf-Hals-Bereichs", "MCC": "Merkelzellkarzinom",
    "TCC": "Urothelkarzinom", "IDC": "invasiv-duktales Karzinom", "ILC": "invasiv-lobuläres Karzinom",
    "DCIS": "duktales Carcinoma in situ", "LCIS": "lobuläres Carcinoma in situ",
    "TNBC": "Mammakarzinom", "CRC": "kolorektales Karzinom", "KRK": "kolorektales Karzinom",
    "NET": "neuroendokriner Tumor", "NEC": "neuroendokrines Karzinom", "NEN": "neuroendokrine Neoplasie",
    "HGSOC": "high-grade seröses Ovarialkarzinom", "LGSOC": "low-grade seröses Ovarialkarzinom",
    "HGSC": "high-grade seröses Karzinom", "LGSC": "low-grade seröses Karzinom",
    "AEG": "Adenokarzinom des gastroösophagealen Übergangs",
    "CUP": "Karzinom mit unbekanntem Primärtumor", "CUP-Syndrom": "Karzinom mit unbekanntem Primärtumor",
    "NMIBC": "nicht-muskelinvasives Harnblasenkarzinom", "MIBC": "muskelinvasives Harnblasenkarzinom",
    "IPMN": "intraduktale papillär-muzinöse Neoplasie",
    # other solid tumours
    "GBM": "Glioblastom", "GIST": "gastrointestinaler Stromatumor", "MPM": "malignes Pleuramesotheliom",
    "MPNST": "maligner peripherer Nervenscheidentumor", "DFSP": "Dermatofibrosarcoma protuberans",
    "SSM": "superfiziell spreitendes Melanom", "NMM": "noduläres malignes Melanom",
    "ALM": "akral-lentiginöses Melanom", "LMM": "Lentigo-maligna-Melanom",
    # blood and lymph
    "DLBCL": "diffuses großzelliges B-Zell-Lymphom", "NHL": "Non-Hodgkin-Lymphom",
    "B-NHL": "B-Zell-Non-Hodgkin-Lymphom", "T-NHL": "T-Zell-Non-Hodgkin-Lymphom",
    "CLL": "chronische lymphatische Leukämie", "B-CLL": "chronische lymphatische Leukämie",
    "AML": "akute myeloische Leukämie", "CML": "chronische myeloische Leukämie",
    "CMML": "chronische myelomonozytäre Leukämie", "JMML": "juvenile myelomonozytäre Leukämie",
    "B-ALL": "akute lymphatische B-Zell-Leukämie", "T-ALL": "akute lymphatische T-Zell-Leukämie",
    "APL": "akute Promyelozytenleukämie", "MDS": "myelodysplastisches Syndrom",
    "MPN": "myeloproliferative Neoplasie", "MGUS": "monoklonale Gammopathie unbestimmter Signifikanz",
    "MZL": "Marginalzonenlymphom", "PTCL": "peripheres T-Zell-Lymphom", "CTCL": "kutanes T-Zell-Lymphom",
    "ALCL": "anaplastisches großzelliges Lymphom", "AITL": "angioimmunoblastisches T-Zell-Lymphom",
    "HZL": "Haarzellenleukämie", "LCH": "Langerhans-Zell-Histiozytose",
    # quadrants of the breast; no other organ has these abbreviations
    "OAQ": "oberer äußerer Quadrant", "OIQ": "oberer innerer Quadrant",
    "UAQ": "unterer äußerer Quadrant", "UIQ": "unterer innerer Quadrant",
}  # fmt: skip

_IN_CONTEXT: dict[str, tuple[tuple[str, str], ...]] = {
    "OL": (("Oberlappen", "lung"),),
    "ML": (("Mittellappen", "lung"),),
    "UL": (("Unterlappen", "lung"),),
    "MM": (("multiples Myelom", "myeloma"), ("malignes Melanom", "melanoma")),
    "BOT": (("Borderline-Tumor", "ovary"),),
    "PTC": (("papilläres Schilddrüsenkarzinom", "thyroid"),),
    "MTC": (("medulläres Schilddrüsenkarzinom", "thyroid"),),
    "NS": (("nodulär-sklerosierend", "hodgkin"),),
    "MC": (("Mischtyp", "hodgkin"),),
    "FL": (("follikuläres Lymphom", "follicular_or_alone"),),
    "HL": (("Hodgkin-Lymphom", "haematology_or_alone"),),
    "ALL": (("akute lymphatische Leukämie", "haematology_or_alone"),),
    "PV": (("Polycythaemia vera", "haematology_or_alone"),),
    "ET": (("essentielle Thrombozythämie", "haematology_or_alone"),),
    "PMF": (("primäre Myelofibrose", "haematology_or_alone"),),
    "MCL": (("Mantelzelllymphom", "haematology_or_alone"),),
}

ABBREVIATIONS: dict[str, Abbreviation] = {key: Abbreviation(text, "always") for key, text in _ALWAYS.items()}
CONTEXTUAL: dict[str, tuple[Abbreviation, ...]] = {
    key: tuple(Abbreviation(text, when) for text, when in readings) for key, readings in _IN_CONTEXT.items()
}

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
    "corpus": "Korpus", "pancreas": "Pankreas", "oesophagus": "Ösophagus", "coecum": "Zäkum", "caecum": "Zäkum",
    "zunge": "Zungen", "tonsille": "Tonsillen", "lippe": "Lippen", "tube": "Tuben", "gallenblase": "Gallenblasen",
    "vagina": "Vaginal", "bronchien": "Bronchial", "speicheldrüse": "Speicheldrüsen", "papille": "Papillen",
}  # fmt: skip

COMPOUND_HEADS: dict[str, str] = {
    "ca": "karzinom", "ca.": "karzinom", "karz.": "karzinom", "karzinom": "karzinom", "karzinome": "karzinome",
    "karzinoms": "karzinoms", "carcinom": "karzinom", "metastasen": "metastasen", "metastase": "metastase",
    "metas": "metastasen", "mets": "metastasen", "filiae": "metastasen", "filia": "metastase",
    "metastasierung": "metastasierung", "tu": "tumor", "tumor": "tumor", "tu.": "tumor", "rezidiv": "rezidiv",
    "npl": "neoplasie",
}  # fmt: skip

# Spellings, applied inside words; the replacement takes the capital of what it replaces. Latin phrases
# that the catalogues keep (Carcinoma in situ, Sarcoma, Ductus) are left alone.
SPELLINGS: tuple[tuple[str, str], ...] = (
    (r"c?carcinom(?!a)", "karzinom"),
    (r"karcinom(?!a)", "karzinom"),
    (r"sarcom(?!a|ere)", "sarkom"),
    (r"(?<![a-zäöü])colon(?!el|ie|is)", "kolon"),
    (r"(?<=[a-zäöü])colon(?=\b|karz|tum)", "kolon"),
    (r"[cz](?:oe|ae|ö|ä)[ck]um", "zäkum"),
    (r"cervix", "zervix"),
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
