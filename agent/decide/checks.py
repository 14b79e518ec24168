"""Numbered checks of a text's three codes against each other and against the catalogue.

    findings = check(codes, unit_text, catalogue, crosswalk)
    [f.number for f in findings if not f.passed]        # ['K07']

| number | what is checked |
| --- | --- |
| K01 | the code exists in the edition in force |
| K02 | it is terminal and may be a primary code |
| K03 | sex named in the text against the code's sex |
| K04 | ICD-10 chapter against the behaviour of the morphology |
| K05 | ICD-10 against topography and morphology (registry crosswalk, and where the alphabet differs) |
| K06 | C77-C79 only where the text speaks of a metastasis |
| K07 | lymphoma and leukaemia: ICD-10 C81-C96 against the morphology |
| K08 | the whole text was read (said only where it was not) |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agent.results import Check
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.records import AXES, CodeSystem

_FEMALE = re.compile(r"\b(?:weiblich|patientin|frau|w\.)\b", re.I)
_MALE = re.compile(r"\b(?:männlich|herr|mann)\b", re.I)
_METASTASIS = re.compile(
    r"metast|filia|\bmets?\b|\bmtx\b|absiedl|karzinose|carcinose|meningeosis|sekund[äa]r|befall", re.I
)

LABELS = {
    CodeSystem.ICD10GM: "ICD-10-GM",
    CodeSystem.TOPOGRAPHY: "Topographie",
    CodeSystem.MORPHOLOGY: "Morphologie",
}
Codes = Mapping[CodeSystem, str | None]


def check(codes: Codes, text: str, catalogue: Catalogue, crosswalk: Crosswalk) -> tuple[Check, ...]:
    """All checks that apply to the codes given; `text` is the original wording of the diagnosis."""
    found: list[Check] = []
    for axis in AXES:
        code = codes.get(axis)
        if code is None:
            continue
        what = f"{LABELS[axis]} {code}"
        exists = catalogue.code(axis, code) is not None
        found.append(
            Check("K01", exists, f"{what} ist im Katalog" + ("" if exists else " nicht") + " enthalten.")
        )
        codable = catalogue.is_codable(axis, code)
        found.append(
            Check(
                "K02", codable, f"{what} ist " + ("" if codable else "nicht ") + "endständig und kodierbar."
            )
        )
    icd10 = codes.get(CodeSystem.ICD10GM)
    topography = codes.get(CodeSystem.TOPOGRAPHY)
    morphology = codes.get(CodeSystem.MORPHOLOGY)
    if icd10 is None:
        return tuple(found)
    sex = _sex(text)
    entry = catalogue.code(CodeSystem.ICD10GM, icd10)
    if sex and entry is not None and entry.sex:
        word = {"W": "weiblich", "M": "männlich"}
        found.append(
            Check("K03", entry.sex == sex, f"{icd10} gilt für {word[entry.sex]}; im Text steht {word[sex]}.")
        )
    excepted = morphology is not None and crosswalk.excepts(icd10, topography, morphology)
    if morphology:
        fits = excepted or behaviour_fits(icd10, morphology)
        found.append(
            Check(
                "K04",
                fits,
                f"Verhalten /{morphology[-1]} und {icd10} passen {'' if fits else 'nicht '}zusammen.",
            )
        )
        blood = is_blood_code(icd10)
        fits = blood == is_haematological(morphology)
        found.append(
            Check(
                "K07",
                fits,
                f"{morphology} und {icd10} sind {'beide' if fits else 'nicht beide'} "
                + ("Lymphom, Leukämie oder verwandt." if blood or not fits else "solide Tumoren."),
            )
        )
    if excepted:
        site = f"{topography} mit {morphology}" if topography else f"{morphology} ohne genannten Sitz"
        found.append(Check("K05", True, f"{site} ergibt nach dem Alphabet der ICD-10-GM {icd10}."))
    elif topography and morphology:
        expected = crosswalk.icd10(topography, morphology)
        if expected is not None:
            fits = same_code(icd10, expected)
            message = f"{topography} mit {morphology} ergibt nach der Registertabelle {expected}"
            found.append(Check("K05", fits, message + ("." if fits else f", nicht {icd10}.")))
    secondary = icd10[:3] in ("C77", "C78", "C79")
    if secondary:
        spoken = bool(_METASTASIS.search(text))
        found.append(Check("K06", spoken, f"{icd10} setzt voraus, dass der Text eine Metastase nennt."))
    return tuple(found)


def cut_off(characters: int) -> Check:
    """What is said of a text of which only the first `characters` were read."""
    return Check(
        "K08", False, f"Der Text ist länger als {characters} Zeichen; was danach steht, ist ungelesen."
    )


_BLOOD = {
    "C81",
    "C82",
    "C83",
    "C84",
    "C85",
    "C86",
    "C88",
    "C90",
    "C91",
    "C92",
    "C93",
    "C94",
    "C95",
    "C96",
    "D45",
    "D46",
}
_BLOOD_CODES = {"D47.0", "D47.1", "D47.2", "D47.3", "D47.4", "D47.5", "D47.7", "D47.9"}


def is_blood_code(icd10: str) -> bool:
    """ICD-10 codes of lymphoma, leukaemia and what is related to them."""
    return icd10[:3] in _BLOOD or icd10 in _BLOOD_CODES


def is_haematological(morphology: str) -> bool:
    """Lymphoma, leukaemia, plasma cell, histiocytic and myeloid neoplasms: histology 9590 and above."""
    return morphology[:4] >= "9590"


def checks_of(axis: CodeSystem, checks: Sequence[Check]) -> tuple[Check, ...]:
    """The checks to show with an axis: those of its own code, and with ICD-10 those across the axes."""
    own = tuple(c for c in checks if c.message.startswith(LABELS[axis]))
    if axis is not CodeSystem.ICD10GM:
        return own
    return own + tuple(c for c in checks if c.number not in ("K01", "K02"))


def behaviour_fits(icd10: str, morphology: str) -> bool:
    """Whether the ICD-10 chapter and the digit after the slash agree."""
    behaviour = morphology.rpartition("/")[2]
    if is_haematological(morphology):
        return True  # K07 decides; ICD-10 codes some /1 entities (LCH) under C and some /3 (MDS) under D
    if icd10.startswith("C"):
        return behaviour in ("3", "6", "9")
    category = int(icd10[1:3])
    if category <= 9:
        return behaviour == "2"
    return behaviour == ("0" if category <= 36 else "1")


def same_code(icd10: str, expected: str) -> bool:
    """Equal, or the crosswalk's code is the unspecified one of the same category."""
    if icd10 == expected:
        return True
    return icd10[:3] == expected[:3] and (
        expected.endswith(".9") or icd10.endswith(".9") or icd10.startswith(expected)
    )


def _sex(text: str) -> str | None:
    female, male = bool(_FEMALE.search(text)), bool(_MALE.search(text))
    return None if female == male else ("W" if female else "M")
