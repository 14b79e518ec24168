"""What stands around a diagnosis in the clinic without changing its code, and the grammar that it needs.

    tnm(random.Random(1), "3", graded=True)                     # Formula('pT2 pN1 L0 V0 R0 M0 G2', 'III', False)
    genitive("invasiv-duktales Karzinom", "n")                  # 'eines invasiv-duktalen Karzinoms'
    dative("invasiv-duktales Karzinom", "n")                    # 'invasiv-duktalem Karzinom'

TNM, stages, dates, receptors, markers, sizes, therapy, certainty, sides. Nothing here names another
tumour, a grade where the grade is part of the morphology, or a code.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from index.catalogue.overrides import table_rows
from training.texts.tables import PHRASES, TABLES, values

_T = TypeVar("_T")

ENDINGS = {"n": "es", "m": "er", "f": "e", "p": "e"}

SIDE_FORMS = {
    "links": ("links", "li.", "li", "lks.", "linksseitig", "L", "links", "li."),
    "rechts": ("rechts", "re.", "re", "rechtsseitig", "R", "rechts", "re."),
    "beidseits": ("beidseits", "bds.", "bds", "bilateral", "beidseitig"),
}
# each with the case that it governs: nominative, accusative, dative or genitive
PREFIXES, MALIGNANT_PREFIXES = (
    tuple((phrase[2:], phrase[0]) for phrase in PHRASES[use]) for use in ("prefixes", "malignant prefixes")
)
ALL_PREFIXES = tuple(
    sorted({*PHRASES["headers"], *(p for p, _ in (*PREFIXES, *MALIGNANT_PREFIXES))}, key=len, reverse=True)
)
# a metastasis in the organ of the primary would be nonsense: what is said, and the sites where it is not
SAME_ORGAN = (
    ("hepat", "C22"), ("leber", "C22"), ("HEP", "C22"), ("pulmonal", "C34"), ("lunge", "C34"), ("PUL", "C34"),
    ("ossär", "C40"), ("ossär", "C41"), ("knochen", "C40"), ("knochen", "C41"), ("OSS", "C40"), ("OSS", "C41"),
    ("erebral", "C71"), ("hirn", "C71"), ("periton", "C48"), ("pleura", "C38"), ("axill", "C44"), ("axill", "C49"),
)  # fmt: skip
# a benign, precancerous or non-invasive lesion beside the carcinoma does not change its codes:
# (topography prefix, lowest and highest histology, what is written)
BESIDE: list[tuple[str, int, int, tuple[str, ...]]] = []
for _, _row in table_rows(TABLES / "beside.tsv", ("topography", "histology", "phrases")):
    _low, _high = _row["histology"].split("-")
    BESIDE.append((_row["topography"], int(_low), int(_high), values(_row["phrases"])))


def one(rng: random.Random, values: tuple[_T, ...]) -> _T:
    """A value at random; `random.Random.choice` costs three times as much."""
    return values[int(rng.random() * len(values))]


def inflect(adjective: str, gender: str) -> str:
    """A stem with its nominative ending; abbreviations stay: `metastasiert` + n -> `metastasiertes`."""
    return adjective if adjective.endswith(".") else adjective + ENDINGS[gender]


def _head(words: list[str]) -> int:
    """Where the noun stands: adjectives in front are lower case, or end so (`HIV-assoziiertes`)."""
    nouns = (
        i
        for i, word in enumerate(words)
        if word.rpartition("-")[2][:1].isupper() and not word.endswith(("Zell", "scher", "sches", "sche"))
    )
    return next(nouns, 0)


@lru_cache(maxsize=65536)
def genitive(phrase: str, gender: str) -> str:
    """`eines invasiv-duktalen Karzinoms`. Latin and abbreviated heads keep their form."""
    words = phrase.split(" ")
    head = _head(words)
    declined = [_weak(word) for word in words[:head]]
    noun = words[head].rstrip(",;:")
    behind = words[head][len(noun) :]
    if gender == "m" and noun.endswith("krebs"):
        noun += "es"
    elif gender in "nm" and noun[-2:] in ("om", "or", "yp", "id") and not noun.isupper():
        noun += "s"
    article = {"f": "einer", "p": "von"}.get(gender, "eines")
    return " ".join([article, *declined, noun + behind, *words[head + 1 :]])


@lru_cache(maxsize=65536)
def dative(phrase: str, gender: str) -> str:
    """`invasiv-duktalem Karzinom`, without an article: what stands behind `bei`, `mit` and `Z.n.`"""
    words = phrase.split(" ")
    head = _head(words)
    ending = {"f": "er", "p": "en"}.get(gender, "em")
    for i, word in enumerate(words[:head]):
        if word.endswith(("es", "er")) and gender in "nm":
            words[i] = word[:-2] + ending
        elif word.endswith("e") and gender in "fp":
            words[i] = word[:-1] + ending
    return " ".join(words)


_ARTICLES = {
    "ein": {"n": "ein", "m": "ein", "f": "eine"}, "einen": {"n": "ein", "m": "einen", "f": "eine"},
    "einem": {"n": "einem", "m": "einem", "f": "einer"}, "das": {"n": "das", "m": "der", "f": "die", "p": "die"},
    "den": {"n": "das", "m": "den", "f": "die", "p": "die"}, "dem": {"n": "dem", "m": "dem", "f": "der", "p": "den"},
    "des": {"n": "des", "m": "des", "f": "der", "p": "der"},
}  # fmt: skip


def declined(phrase: str, gender: str, form: str) -> str:
    """A nominative phrase with its article in the case that `form` shows for a neuter: `ein`, `einen`, `einem`,
    `eines`, `das`, `den`, `dem`, `des`; `dat` and `acc` are those cases without article, "" is the phrase itself."""
    if form in ("", "dat", "acc"):
        return phrase if not form else dative(phrase, gender) if form == "dat" else accusative(phrase, gender)
    if form in ("eines", "des"):
        article, _, rest = genitive(phrase, gender).partition(" ")
        return f"{article if form == 'eines' else _ARTICLES[form][gender]} {rest}"
    article = _ARTICLES[form].get(gender, "")
    if form == "ein" or (form == "einen" and gender != "m"):
        return f"{article} {phrase}".strip()
    if form == "einen":
        return f"{article} {accusative(phrase, gender)}"
    words = phrase.split(" ")
    head = _head(words)
    weak = [_weak(word) for word in words[:head]]
    if gender != "p" and (form == "das" or (form == "den" and gender != "m")):
        weak = [word[:-1] if word.endswith(("es", "er")) else word for word in words[:head]]
    return " ".join([article, *weak, *words[head:]]).strip()


def governed(phrase: str, gender: str, case: str) -> str:
    """The phrase in the case that its prefix wants: `n`, `a`, `d` or `g` of `PREFIXES`."""
    if case == "a":
        return accusative(phrase, gender)
    if case == "d":
        return dative(phrase, gender)
    return genitive(phrase, gender) if case == "g" else phrase


@lru_cache(maxsize=65536)
def accusative(phrase: str, gender: str) -> str:
    """`einen malignen Tumor` without the article; only the masculine differs from the nominative."""
    if gender != "m":
        return phrase
    words = phrase.split(" ")
    head = _head(words)
    return " ".join(
        [word[:-2] + "en" if word.endswith("er") and i < head else word for i, word in enumerate(words)]
    )


def _weak(word: str) -> str:
    if word.endswith(("es", "er")):
        return word[:-2] + "en"
    if word.endswith("grade"):
        return word
    return word + "n" if word.endswith("e") else word


def fill(rng: random.Random, template: str) -> str:
    """Puts day, month and year into a template of `PHRASES["dates"]` or a therapy."""
    if "{" not in template:
        return template
    year = 2003 + int(rng.random() * 22)
    return template.format(
        d=f"{1 + int(rng.random() * 28):02d}",
        m=f"{1 + int(rng.random() * 12):02d}",
        y=year,
        s=f"{year % 100:02d}",
    )


@dataclass(frozen=True, slots=True)
class Formula:
    """A TNM formula with the stage that it comes to and whether it says distant metastases (None: open)."""

    text: str
    stage: str
    metastatic: bool | None


def tnm(
    rng: random.Random,
    behaviour: str,
    graded: bool,
    metastatic: bool | None = None,
    tumour_only: bool = False,
) -> Formula:
    """A realistic formula; `Tis` for in situ. No grade where `graded` is false (it is part of the morphology
    or nobody gives one). `metastatic` is what the text says already; `tumour_only` leaves out N and M."""
    prefix = one(rng, ("p", "p", "p", "c", "c", "yp", "", "rp", "yc"))
    if behaviour == "2":
        forms = (f"{prefix}Tis", f"{prefix}Tis {prefix or 'c'}N0", f"{prefix}Tis cN0 cM0", "pTis R0", "pTis")
        return Formula(one(rng, forms), "0", False)
    t = one(rng, ("1", "1a", "1b", "1c", "2", "2", "2a", "2b", "3", "3", "3a", "4", "4a", "4b", "x"))
    parts, nodes = [f"{prefix}T{t}"], "0"
    draw = rng.random()
    if not tumour_only:
        counted = ("0", "0", "1", "1a", "2", "3", "x", "0", "1 (3/14)", "1a (2/17)", "0 (0/21)", "0 (0/13)")
        nodes = one(
            rng, counted if "p" in prefix else ("0", "0", "0", "1", "1", "1a", "2", "2b", "3", "x", "+")
        )
        parts.append(f"{prefix or 'c'}N{nodes}" if prefix or rng.random() < 0.5 else f"N{nodes}")
        if metastatic:
            parts.append(one(rng, ("M1", "cM1", "M1", "pM1", "M1")))
        elif draw < 0.55:
            kinds = ("M0", "cM0", "M0", "cM0", "Mx") + (
                ("M1", "cM1", "pM1", "M1a", "M1b") if metastatic is None else ()
            )
            parts.append(one(rng, kinds))
            if parts[-1][-1] != "x":
                metastatic = "M1" in parts[-1]
    if "p" in prefix:
        if draw < 0.35 and not tumour_only:
            parts.append(one(rng, ("L0 V0", "L1 V0", "L1 V1", "L0 V0 Pn0", "L0, V0, Pn1", "L1")))
        if 0.15 < draw < 0.6:
            parts.append(one(rng, ("R0", "R0", "R1", "Rx", "R0")))
    if graded and rng.random() < 0.5:
        parts.append(one(rng, ("G1", "G2", "G2", "G3", "G3", "G 2", "G2-3")))
    spread = nodes[0] not in "0x"
    group = "IV" if metastatic else "III" if spread else {"1": "I", "2": "II", "x": "II"}.get(t[0], "II")
    return Formula(one(rng, (" ", " ", ", ")).join(parts), group, metastatic)


_SUBSTAGES = {"0": ("0",), "I": ("I", "IA", "IB"), "II": ("II", "IIA", "IIB"), "III": ("III", "IIIA", "IIIB", "IIIC"),
              "IV": ("IV", "IVA", "IVB")}  # fmt: skip


def stage(rng: random.Random, topography: str, group: str | None = None) -> tuple[str, bool]:
    """A stage remark and whether it means distant metastases; `group` is the stage that the text comes to."""
    roman = one(rng, _SUBSTAGES[group] if group else PHRASES["stages"])
    name = one(rng, ("UICC", "UICC-Stadium", "Stadium", "Std.", "UICC Stad."))
    if topography[:3] in ("C51", "C52", "C53", "C54", "C56", "C57") and rng.random() < 0.7:
        name = one(rng, ("FIGO", "FIGO-Stadium", "Figo"))
    return f"{name} {roman}", roman.startswith("IV")


def therapy(rng: random.Random, therapies: tuple[str, ...], staged: bool) -> str:
    """A therapy; where a TNM formula stands in the text, none that repeats or denies it."""
    chosen = one(rng, therapies)
    while staged and chosen in PHRASES["therapies of a stage"]:
        chosen = one(rng, therapies)
    return fill(rng, chosen)


def size(rng: random.Random, small: bool = False) -> str:
    """A size in millimetres or centimetres; `small` for what is seen on skin, eye or pituitary."""
    millimetres = f"{2 + int(rng.random() * (22 if small else 50))} mm"
    if small:
        return one(rng, (millimetres, f"{millimetres} Durchmesser", f"({millimetres})", f"ca. {millimetres}"))
    centimetres = f"{1 + int(rng.random() * 8)},{int(rng.random() * 10)} cm"
    return one(rng, (centimetres, millimetres, f"Größe {centimetres}", f"ca. {centimetres}", f"{millimetres} Durchmesser",
                     f"({millimetres})", f"{2 + int(rng.random() * 6)} x {1 + int(rng.random() * 5)} cm"))  # fmt: skip


def markers(rng: random.Random, topography: str, histology: int) -> str | None:
    """Receptors, markers and scores that belong to a site or histology, or None."""
    organ = topography[:3]
    percent = 5 * int(rng.random() * 21)
    if 8720 <= histology <= 8790:
        depth = f"{int(rng.random() * 5)},{1 + int(rng.random() * 9)}"
        clark, level = one(rng, ("II", "III", "IV")), one(rng, ("II", "III", "IV", "V"))
        return one(rng, PHRASES["melanoma markers"]).format(d=depth, c=clark, l=level)
    if organ == "C50" and histology < 8580 and histology not in (8200, 8430):
        return one(rng, PHRASES["breast markers"]).format(p=percent, r=100 - percent, k=5 + percent // 2)
    if organ == "C61" and (histology <= 8010 or 8140 <= histology <= 8148 or 8480 <= histology <= 8500):
        psa = f"{int(rng.random() * 60)},{int(rng.random() * 10)}"
        if histology <= 8010:
            # A Gleason score would tell an adenocarcinoma.
            return one(rng, PHRASES["prostate markers"]).format(p=psa)
        score = one(rng, ("3+3=6", "3+4=7a", "4+3=7b", "4+4=8", "4+5=9", "5+4=9"))
        return one(rng, PHRASES["prostate scores"]).format(p=psa, g=score)
    if organ == "C34" and (
        histology in (8010, 8012, 8046, 8070) or 8140 <= histology <= 8145 or 8250 <= histology <= 8265
    ):
        return one(rng, PHRASES["lung markers"]).format(p=percent)
    if organ in ("C19", "C20") and rng.random() < 0.4:
        return f"{3 + int(rng.random() * 13)} cm ab ano"
    if organ in ("C18", "C19", "C20") and 8140 <= histology < 8800 and not 8240 <= histology <= 8249:
        return one(rng, PHRASES["bowel markers"])
    if organ == "C71" and 9380 <= histology <= 9460:
        return one(rng, PHRASES["brain markers"])
    return None
