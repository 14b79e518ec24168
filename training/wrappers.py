"""What stands around a diagnosis in the clinic without changing its code, and the grammar that it needs.

    tnm(random.Random(1), behaviour="3", graded=True)           # 'pT2 pN1a (3/14) L0 V0 R0 M0 G2'
    genitive("invasiv-duktales Karzinom", "n")                  # 'eines invasiv-duktalen Karzinoms'

TNM, stages, dates, receptors, markers, sizes, therapy, certainty, sides. Nothing here names another
tumour, a grade where the grade is part of the morphology, or a code.
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import TypeVar

_T = TypeVar("_T")

ENDINGS = {"n": "es", "m": "er", "f": "e", "p": "e"}
SIDES = ("links", "rechts", "beidseits")
SIDE_FORMS = {
    "links": ("links", "li.", "li", "lks.", "linksseitig", "L", "links", "li."),
    "rechts": ("rechts", "re.", "re", "rechtsseitig", "R", "rechts", "re."),
    "beidseits": ("beidseits", "bds.", "bds", "bilateral", "beidseitig"),
}
MALIGNANT_ADJECTIVES = (
    "metastasiert", "fortgeschritten", "lokal fortgeschritten", "inoperabl", "multifokal", "klein", "groß",
    "ausgedehnt", "bekannt", "histologisch gesichert", "neu diagnostiziert", "primär", "rezidiviert", "exulzeriert",
    "pulmonal metastasiert", "hepatisch metastasiert", "ossär metastasiert", "lymphogen metastasiert", "progredient",
    "diffus metastasiert", "oligometastasiert", "synchron metastasiert", "infiltrierend", "schnell wachsend",
    "cerebral metastasiert", "peritoneal metastasiert", "R0-reseziert", "voroperiert", "inzidentell", "metast.",
)  # fmt: skip
# locally growing tumours that do not spread: basal cell carcinoma and glioma
LOCAL_ADJECTIVES = ("klein", "groß", "ausgedehnt", "bekannt", "rezidiviert", "neu diagnostiziert", "multifokal",
                    "histologisch gesichert", "progredient", "zentral ulzeriert", "schnell wachsend")  # fmt: skip
BENIGN_ADJECTIVES = (
    "klein",
    "groß",
    "bekannt",
    "histologisch gesichert",
    "multipl",
    "symptomatisch",
    "inzidentell",
)
SKIN_MALIGNANT = ("klein", "ausgedehnt", "exulzeriert", "ulzeriert", "rezidiviert", "histologisch gesichert",
                  "blutend", "krustig belegt", "pigmentiert", "multipl", "flach erhaben")  # fmt: skip
HEADERS = ("Diagnose: ", "Diagnosen: ", "Hauptdiagnose: ", "Dg.: ", "HD: ", "1. ", "1) ", "Tumordiagnose: ", "- ",
           "Onkologische Diagnose: ", "Klin. Angaben: ", "Aktuell: ", "a) ", "Dx: ", "Bekannt: ")  # fmt: skip
PREFIXES = (
    "V.a. ", "V. a. ", "Va. ", "dringender V.a. ", "Verdacht auf ", "Verdacht auf ", "Z.n. ", "Z.n. ", "Zn ", "St.p. ",
    "Zustand nach ", "Bek. ", "Histologisch ", "DD: ", "am ehesten ", "fragl. ", "Pat. mit ", "Anamnestisch ",
    "Z.n. OP bei ", "Z.n. Exzision ", "Vorstellung bei ", "V.a.", "Va ", "ED ", "Erstdiagnose ", "Bekannt ",
)  # fmt: skip
MALIGNANT_PREFIXES = (
    "Primärtumor: ",
    "Z.n. Radiatio bei ",
    "Z.n. Chemotherapie bei ",
    "Rezidiv bei ",
    "Palliativ bei ",
)
ALL_PREFIXES = tuple(sorted({*HEADERS, *PREFIXES, *MALIGNANT_PREFIXES}, key=len, reverse=True))
HAEMATOLOGY_ADJECTIVES = (
    "bekannt",
    "histologisch gesichert",
    "neu diagnostiziert",
    "rezidiviert",
    "primär",
    "refraktär",
)
RECURRENCES = ("Rezidiv", "Lokalrezidiv", "Erstdiagnose", "Progress", "Resektion", "V.a. Rezidiv", "Zweitrezidiv",
               "Nachresektion", "Exzision", "Erneutes Rezidiv", "Biopsie")  # fmt: skip
METASTASES = (
    "mit Lebermetastasen", "mit Lungenmetastasen", "ossär metastasiert", "mit Lymphknotenmetastasen", "hepatisch met.",
    "multiple Lungenmetastasen", "mit Knochenmetastasen", "mit Hirnmetastasen", "pulmonal metast.", "metastasiert",
    "mit Fernmetastasen", "Filiae hepatisch und pulmonal", "lymphogene Metastasierung", "Peritonealkarzinose",
    "mit zerebralen Filiae", "HEP, PUL", "M1 (HEP)", "M1 (OSS)", "mit axillären LK-Metastasen", "Pleuraerguss",
)  # fmt: skip
THERAPIES = (
    "Z.n. OP {y}", "Z.n. Chemotherapie", "Z.n. Radiochemotherapie", "Z.n. R0-Resektion", "Z.n. Resektion {m}/{y}",
    "adjuvante Chemotherapie", "palliative Chemotherapie", "unter Immuntherapie", "Z.n. Radiatio {y}",
    "neoadjuvante Therapie geplant", "unter Systemtherapie", "OP {m}/{y}", "Op am {d}.{m}.{y}", "best supportive care",
    "Radiatio bis {m}/{y}", "R0", "Z.n. Tumorresektion", "keine Systemtherapie", "Staging folgt", "TNM folgt",
    "Vorstellung Tumorboard", "in Remission", "Progress", "Lokalrezidiv", "Rezidiv {y}", "Erstdiagnose",
)  # fmt: skip
MILD_THERAPIES = ("Z.n. Exzision {y}", "Verlaufskontrolle", "R0 exzidiert", "Z.n. OP {y}", "Zufallsbefund",
                  "Abtragung {m}/{y}", "Entfernung am {d}.{m}.{y}", "Kontrolle in 6 Monaten", "asymptomatisch")  # fmt: skip
DATES = ("ED {m}/{y}", "ED {y}", "Erstdiagnose {d}.{m}.{y}", "EM {y}", "ED: {m}/{y}", "({m}/{y})", "{y}",
         "vom {d}.{m}.{y}", "Erstdiagnose {m}/{y}", "seit {y}", "E.D. {m}.{y}", "Histo vom {d}.{m}.{y}",
         "Diag. {d}.{m}.{s}")  # fmt: skip
CERTAINTY = ("histologisch gesichert", "histol. gesichert", "zytologisch gesichert", "bioptisch gesichert", "gesichert",
             "histologisch bestätigt", "klinisch", "laut Histologie", "lt. Histo", "mikroskopisch", "(G)", "(V)")  # fmt: skip
ROMAN = ("I", "IA", "IB", "II", "IIA", "IIB", "IIc", "III", "IIIa", "IIIb", "IIIC", "IV", "IVA", "IVb")


def one(rng: random.Random, values: tuple[_T, ...]) -> _T:
    """A value at random; `random.Random.choice` costs three times as much."""
    return values[int(rng.random() * len(values))]


def inflect(adjective: str, gender: str) -> str:
    """A stem with its nominative ending; abbreviations stay: `metastasiert` + n -> `metastasiertes`."""
    return adjective if adjective.endswith(".") else adjective + ENDINGS[gender]


@lru_cache(maxsize=65536)
def genitive(phrase: str, gender: str) -> str:
    """`eines invasiv-duktalen Karzinoms`. Latin and abbreviated heads keep their form."""
    words = phrase.split(" ")
    # adjectives in front are lower case, the first other word is the head
    head = next((i for i, word in enumerate(words) if word[:1].isupper() and not word.endswith("Zell")), 0)
    declined = [_weak(word) for word in words[:head]]
    noun = words[head]
    if gender in "nm" and noun[-2:] in ("om", "or", "yp", "id") and not noun.isupper():
        noun += "s"
    article = {"f": "einer", "p": "von"}.get(gender, "eines")
    return " ".join([article, *declined, noun, *words[head + 1 :]])


@lru_cache(maxsize=65536)
def accusative(phrase: str, gender: str) -> str:
    """`einen malignen Tumor` without the article; only the masculine differs from the nominative."""
    if gender != "m":
        return phrase
    words = phrase.split(" ")
    return " ".join(
        [word[:-2] + "en" if word.endswith("er") and word[0].islower() else word for word in words]
    )


def _weak(word: str) -> str:
    if word.endswith(("es", "er")):
        return word[:-2] + "en"
    return word + "n" if word.endswith("e") else word


def fill(rng: random.Random, template: str) -> str:
    """Puts day, month and year into a template of `DATES` or a therapy."""
    if "{" not in template:
        return template
    year = 2003 + int(rng.random() * 22)
    return template.format(
        d=f"{1 + int(rng.random() * 28):02d}",
        m=f"{1 + int(rng.random() * 12):02d}",
        y=year,
        s=f"{year % 100:02d}",
    )


def tnm(rng: random.Random, behaviour: str, graded: bool) -> str:
    """A realistic TNM formula; `Tis` for in situ. No grade where `graded` is false (the grade of a
    neuroendocrine tumour or glioma is part of its morphology code)."""
    prefix = one(rng, ("p", "p", "p", "c", "c", "yp", "", "rp", "yc"))
    if behaviour == "2":
        return one(
            rng, (f"{prefix}Tis", f"{prefix}Tis {prefix}N0", f"{prefix}Tis cN0 cM0", "pTis R0", "pTis (sn)")
        )
    t = one(rng, ("1", "1a", "1b", "1c", "2", "2", "2a", "2b", "3", "3", "3a", "4", "4a", "4b", "x", "1mi"))
    n = one(
        rng,
        (
            "0",
            "0",
            "0",
            "1",
            "1",
            "1a",
            "2",
            "2b",
            "3",
            "x",
            "+",
            "0 (sn)",
            "1 (3/14)",
            "1a (2/17)",
            "0 (0/21)",
        ),
    )
    parts = [f"{prefix}T{t}", f"{prefix or 'c'}N{n}" if prefix != "" or rng.random() < 0.5 else f"N{n}"]
    draw = rng.random()
    if draw < 0.55:
        parts.append(one(rng, ("M0", "cM0", "M0", "cM0", "M1", "cM1", "Mx", "pM1", "M1a", "M1b")))
    if draw < 0.35:
        parts.append(one(rng, ("L0 V0", "L1 V0", "L1 V1", "L0 V0 Pn0", "L0, V0, Pn1", "L1")))
    if 0.15 < draw < 0.6:
        parts.append(one(rng, ("R0", "R0", "R1", "Rx", "R2")))
    if graded and rng.random() < 0.5:
        parts.append(one(rng, ("G1", "G2", "G2", "G3", "G3", "G 2", "G2-3")))
    return one(rng, (" ", " ", ", ")).join(parts)


def stage(rng: random.Random, topography: str) -> str:
    if topography[:3] in ("C51", "C52", "C53", "C54", "C56", "C57") and rng.random() < 0.7:
        return f"{one(rng, ('FIGO', 'FIGO-Stadium', 'Figo'))} {one(rng, ROMAN)}"
    return f"{one(rng, ('UICC', 'UICC-Stadium', 'Stadium', 'Std.', 'UICC Stad.'))} {one(rng, ROMAN)}"


def size(rng: random.Random) -> str:
    centimetres = f"{1 + int(rng.random() * 8)},{int(rng.random() * 10)} cm"
    millimetres = f"{3 + int(rng.random() * 50)} mm"
    return one(rng, (centimetres, millimetres, f"Größe {centimetres}", f"ca. {centimetres}", f"{millimetres} Durchmesser",
                     f"({millimetres})", f"{2 + int(rng.random() * 6)} x {1 + int(rng.random() * 5)} cm"))  # fmt: skip


def markers(rng: random.Random, topography: str, histology: int) -> str | None:
    """Receptors, markers and scores that belong to a site or histology, or None."""
    organ = topography[:3]
    percent = 5 * int(rng.random() * 21)
    if 8720 <= histology <= 8790:
        depth = f"{int(rng.random() * 5)},{1 + int(rng.random() * 9)}"
        return one(rng, (f"Breslow {depth} mm", f"TD {depth} mm", f"Clark-Level {one(rng, ('II', 'III', 'IV'))}",
                         f"Breslow {depth} mm, Clark {one(rng, ('II', 'III', 'IV', 'V'))}", "BRAF V600E mutiert",
                         f"Tumordicke {depth} mm", "BRAF-Wildtyp", f"Breslow-Dicke {depth}mm, ulzeriert"))  # fmt: skip
    if organ == "C50" and histology < 8800:
        return one(rng, (
            f"ER {percent}%, PR {100 - percent}%, HER2neu 1+, Ki67 {5 + percent // 2}%", "ER+ PR+ HER2-", "triple negativ",
            f"ER pos., PR neg., Her2/neu 3+, Ki-67 {percent}%", "Hormonrezeptor positiv, HER2 negativ", "TNBC",
            f"ER 12/12, PR 8/12, Her2 neg., Ki67 {percent} %", "luminal B", "Luminal A", "HER2 positiv", "BRCA1-Mutation",
            f"Ki67 {percent}%"))  # fmt: skip
    if organ == "C61" and histology < 8800:
        psa = f"{int(rng.random() * 60)},{int(rng.random() * 10)}"
        score = one(rng, ("3+3=6", "3+4=7a", "4+3=7b", "4+4=8", "4+5=9", "5+4=9"))
        return one(rng, (f"Gleason {score}", f"GS {score}", f"iPSA {psa} ng/ml", f"Gleason-Score {score}, iPSA {psa} ng/ml",
                         f"PSA {psa}", f"Gl. {score}", "ISUP 2", "ISUP Grad 4", "kastrationsresistent"))  # fmt: skip
    if organ == "C34" and histology < 8800:
        return one(rng, (f"EGFR wt, ALK neg., PD-L1 TPS {percent}%", "KRAS G12C", f"PD-L1 {percent} %", "EGFR Exon 19 Deletion",
                         "EGFR-Wildtyp", "ALK-Translokation", "TTF-1 positiv", "keine Treibermutation"))  # fmt: skip
    if organ in ("C19", "C20") and rng.random() < 0.4:
        return f"{3 + int(rng.random() * 13)} cm ab ano"
    if organ in ("C18", "C19", "C20") and 8140 <= histology < 8800 and not 8240 <= histology <= 8249:
        return one(rng, ("RAS-Wildtyp", "KRAS mutiert", "MSS", "MSI-H", "BRAF wt", "pMMR", "CEA 12,4"))
    if organ == "C71":
        return one(
            rng, ("MGMT-Promotor methyliert", "MGMT unmethyliert", "Z.n. Teilresektion", "Z.n. Biopsie")
        )
    return None
