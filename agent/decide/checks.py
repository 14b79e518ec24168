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

from agent.results import AXIS_NAMES, Check
from index.catalogue.catalogue import Catalogue
from index.catalogue.crosswalk import Crosswalk
from index.icd import behaviour_fits, is_haematological, is_haematological_code, is_secondary, same_code
from index.records import AXES, CodeSystem

_FEMALE = re.compile(r"\b(?:weiblich|patientin|frau|w\.)\b", re.I)
_MALE = re.compile(r"\b(?:männlich|herr|mann)\b", re.I)
_METASTASIS = re.compile(
    r"metast|filia|\bmets?\b|\bmtx\b|absiedl|karzinose|carcinose|meningeosis|sekund[äa]r|befall", re.I
)

Codes = Mapping[CodeSystem, str | None]


def check(codes: Codes, text: str, catalogue: Catalogue, crosswalk: Crosswalk) -> tuple[Check, ...]:
    """All checks that apply to the codes given; `text` is the original wording of the diagnosis."""
    found: list[Check] = []

    def say(number: str, holds: bool, message: str, axis: CodeSystem | None = None) -> None:
        found.append(Check(number, holds, message, axis))

    for axis in AXES:
        code = codes.get(axis)
        if code is not None:
            listed, codable = catalogue.code(axis, code) is not None, catalogue.is_codable(axis, code)
            say(
                "K01",
                listed,
                f"{AXIS_NAMES[axis]} {code} ist im Katalog{'' if listed else ' nicht'} enthalten.",
                axis,
            )
            what = "endständig und kodierbar"
            say("K02", codable, f"{AXIS_NAMES[axis]} {code} ist {'' if codable else 'nicht '}{what}.", axis)
    icd10, topography, morphology = (codes.get(axis) for axis in AXES)
    if icd10 is None:
        return tuple(found)
    sex = _sex(text)
    entry = catalogue.code(CodeSystem.ICD10GM, icd10)
    if sex and entry is not None and entry.sex:
        word = {"W": "weiblich", "M": "männlich"}
        message = f"{icd10} gilt für {word[entry.sex]}; im Text steht {word[sex]}."
        say("K03", entry.sex == sex, message, CodeSystem.ICD10GM)
    excepted = morphology is not None and crosswalk.excepts(icd10, topography, morphology)
    if morphology:
        fits = excepted or behaviour_fits(icd10, morphology)
        no = "" if fits else "nicht "
        say("K04", fits, f"Verhalten /{morphology[-1]} und {icd10} passen {no}zusammen.")
        blood = is_haematological_code(icd10)
        fits = blood == is_haematological(morphology)
        kind = "Lymphom, Leukämie oder verwandt" if blood or not fits else "solide Tumoren"
        say("K07", fits, f"{morphology} und {icd10} sind {'beide' if fits else 'nicht beide'} {kind}.")
    if excepted:
        site = f"{topography} mit {morphology}" if topography else f"{morphology} ohne genannten Sitz"
        say("K05", True, f"{site} ergibt nach dem Alphabet der ICD-10-GM {icd10}.")
    elif topography and morphology:
        expected = crosswalk.icd10(topography, morphology)
        if expected is not None:
            fits = same_code(icd10, expected)
            message = f"{topography} mit {morphology} ergibt nach der Registertabelle {expected}"
            say("K05", fits, message + ("." if fits else f", nicht {icd10}."))
    if is_secondary(icd10):
        message = f"{icd10} setzt voraus, dass der Text eine Metastase nennt."
        say("K06", bool(_METASTASIS.search(text)), message, CodeSystem.ICD10GM)
    return tuple(found)


def cut_off(characters: int) -> Check:
    """What is said of a text of which only the first `characters` were read."""
    return Check(
        "K08", False, f"Der Text ist länger als {characters} Zeichen; was danach steht, ist ungelesen."
    )


def checks_of(axis: CodeSystem, checks: Sequence[Check]) -> tuple[Check, ...]:
    """The checks to show with an axis: those of its own code, and with ICD-10 those across the axes."""
    shown = (axis, None) if axis is CodeSystem.ICD10GM else (axis,)
    return tuple(check for check in checks if check.axis in shown)


def _sex(text: str) -> str | None:
    female, male = bool(_FEMALE.search(text)), bool(_MALE.search(text))
    return None if female == male else ("W" if female else "M")
