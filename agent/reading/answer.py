"""The answer to one tumour of a document, from the answers to its phrases.

    coded_tumour(facts, {"Adenokarzinom, Oberlappen": agent.code(...), ...}, resources)

Of the phrases that name it, the fullest that determines a code is taken; another one that tells the subsite of the same
organ goes before one that leaves it open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agent.prepare.records import Side
from agent.reading.mentions import Mention
from agent.reading.results import CodedMetastasis, CodedTumour, Fact
from agent.reading.spread import codes_of_formula, placed_only, regional_nodes
from agent.reading.tumours import Phrase, TumourFacts
from agent.resources import Resources
from agent.results import CodedText, Coding
from index.icd import is_haematological, is_haematological_code, is_secondary
from index.records import AXES, CodeSystem

# A primary of which only metastases are told.
_NO_PRIMARY = {CodeSystem.ICD10GM: "C80.9", CodeSystem.TOPOGRAPHY: "C80.9", CodeSystem.MORPHOLOGY: "8000/6"}
# Of blood and marrow: where else they are is no place of theirs. Plasmocytomas (C90.2, C90.3) have one.
_OF_MARROW = ("C90.0", "C90.1", "C91", "C92", "C93", "C94", "C95", "D45", "D46", "D47.1", "D47.3", "D47.4")
# Below it the words of a metastasis name no place: "Metastase VI". Their codes are wrong more often than right.
_SURE_OF_PLACE = 0.65
# Organs that have no side; a side in their document is that of something else.
_UNSIDED = (
    "C15", "C16", "C17", "C18", "C19", "C20", "C21", "C22", "C23", "C24", "C25", "C26", "C37", "C38.0", "C38.1", "C38.2",
    "C38.3", "C42", "C51", "C52", "C53", "C54", "C55", "C58", "C60", "C61", "C67", "C68", "C77", "C80",
)  # fmt: skip


def coded_tumour(
    facts: TumourFacts, coded: Mapping[str, CodedText], resources: Resources
) -> CodedTumour | None:
    """The answer to one tumour; None where its phrases name none after all. `coded` holds the answer to each phrase."""
    if not facts.phrases:
        return _of_no_primary(facts, coded, resources)
    chosen = _chosen(facts, coded)
    if chosen is None:
        return None
    answer = coded[chosen.text]
    icd10gm, topography, morphology = (
        _as_sure(_in_document(answer.coding(axis), chosen.places), facts, coded, resources) for axis in AXES
    )
    if (icd10gm.code or "").startswith("C80") and (placed := _primaries(facts, coded)):
        # "Adenokarzinom des Pankreas, hepatisch metastasiert": the primary's place was taken for a metastasis'.
        icd10gm, topography = (
            replace(placed[0].icd10gm, evidence=()),
            replace(placed[0].icdo_topography, evidence=()),
        )
    return CodedTumour(
        icd10gm, topography, morphology, _presence(facts, resources), facts.certainty, _side(facts, topography.code),
        () if _is_of_blood(icd10gm, morphology) else _metastases(facts, coded, topography.code, resources),
        tuple(Fact(m.role, m.start, m.end) for m in facts.mentions),
    )  # fmt: skip


def _presence(facts: TumourFacts, resources: Resources) -> float:
    return resources.reader.calibration.presence(facts.told_by)


def _as_sure(
    coding: Coding, facts: TumourFacts, coded: Mapping[str, CodedText], resources: Resources
) -> Coding:
    """The coding with its confidence in the document."""
    if coding.code is None:
        return coding
    told = agreeing(coding, facts, coded)
    return replace(
        coding, confidence=resources.reader.calibration.code(coding.confidence, facts.told_by, told)
    )


def agreeing(coding: Coding, facts: TumourFacts, coded: Mapping[str, CodedText]) -> float:
    """The share of a tumour's wordings that have this code."""
    codes = [coded[phrase.text].coding(coding.system).code for phrase in facts.phrases]
    return codes.count(coding.code) / len(codes)


def _is_of_blood(icd10gm: Coding, morphology: Coding) -> bool:
    """Whether a tumour is one of blood or lymph: what it involves are no metastases."""
    return is_haematological_code(icd10gm.code or "") or is_haematological(morphology.code or "")


def _of_no_primary(
    facts: TumourFacts, coded: Mapping[str, CodedText], resources: Resources
) -> CodedTumour | None:
    """The tumour that metastases are of whose primary nobody names; None where they name no place after all."""
    named = _primaries(facts, coded)
    metastases = _metastases(facts, coded, None, resources)
    if named:
        icd10gm, topography, morphology = (replace(named[0].coding(axis), evidence=()) for axis in AXES)
    elif metastases:
        icd10gm, topography, morphology = (_agreed(resources, axis, _NO_PRIMARY[axis]) for axis in AXES)
    else:
        return None
    places = tuple(Fact(m.role, m.start, m.end) for m in facts.mentions)
    return CodedTumour(
        icd10gm,
        topography,
        morphology,
        _presence(facts, resources),
        facts.certainty,
        None,
        metastases,
        places,
    )


def _primaries(facts: TumourFacts, coded: Mapping[str, CodedText]) -> list[CodedText]:
    """Answers to phrases of metastases that name a primary instead, with a code of its own."""
    told = [coded[spread.phrase] for spread in facts.spread]
    return [
        one for one in told
        if one.tumour and one.icd10gm.code and not is_secondary(one.icd10gm.code) and one.icd10gm.code[:3] != "C80"
    ]  # fmt: skip


def _agreed(resources: Resources, axis: CodeSystem, code: str) -> Coding:
    """A coding that is agreed, not learnt."""
    return Coding(axis, code, resources.catalogue.title(axis, code), 1.0)


def _chosen(facts: TumourFacts, coded: Mapping[str, CodedText]) -> Phrase | None:
    named = [phrase for phrase in facts.phrases if coded[phrase.text].tumour]
    first = next((p for p in named if coded[p.text].icd10gm.code is not None), named[0] if named else None)
    code = coded[first.text].icd10gm.code if first is not None else None
    if code is not None and code.startswith(_OF_MARROW):
        return min(named, key=lambda p: (not _is_of_marrow(coded[p.text]), len(p.text)))
    if first is not None and _tells_place_itself(facts.statement, code, coded):
        return facts.statement
    if code is None or not code.endswith(".9"):
        return first
    finer = (p for p in named if _tells_more(coded[p.text].icd10gm.code, code))
    return next(finer, first)


def _tells_place_itself(statement: Phrase | None, code: str | None, coded: Mapping[str, CodedText]) -> bool:
    """Whether the statement that names a tumour tells a subsite that a fuller wording has not got: what is told elsewhere
    may be said of something else."""
    own = coded[statement.text].icd10gm.code if statement is not None else None
    return own is not None and own != code and not own.endswith(".9") and own[:3] not in ("C76", "C80")


def _is_of_marrow(answer: CodedText) -> bool:
    codes = answer.icd10gm.code or "", answer.icdo_topography.code or ""
    return codes[0].startswith(_OF_MARROW) and codes[1].startswith("C42")


def _tells_more(code: str | None, unspecified: str) -> bool:
    return code is not None and code[:3] == unspecified[:3] and not code.endswith(".9")


def _side(facts: TumourFacts, topography: str | None) -> Side | None:
    return None if topography is None or topography.startswith(_UNSIDED) else facts.side


def _metastases(
    facts: TumourFacts, coded: Mapping[str, CodedText], topography: str | None, resources: Resources
) -> tuple[CodedMetastasis, ...]:
    """Metastases by their codes: from words, and from formulas."""
    found: dict[str, tuple[Coding, tuple[Fact, ...]]] = {}
    station = regional_nodes(topography) if topography is not None else None

    def add(coding: Coding, mention: Mention) -> None:
        if coding.code is not None and is_secondary(coding.code):
            before, places = found.get(coding.code, (replace(coding, evidence=()), ()))
            found[coding.code] = before, (*places, Fact(mention.role, mention.start, mention.end))

    for spread in facts.spread:
        coding = coded[spread.phrase].icd10gm
        if coding.confidence < _SURE_OF_PLACE:
            coding = replace(coding, code=None)
        # Regional nodes that are named without their region.
        regional = spread.mention.role == "nodes" and coding.code in (None, "C77.9") and station is not None
        add(
            _agreed(resources, CodeSystem.ICD10GM, station) if regional and station else coding,
            spread.mention,
        )
    for formula, mention in facts.formulas:
        for code in codes_of_formula(formula, topography):
            add(_agreed(resources, CodeSystem.ICD10GM, code), mention)
    return tuple(CodedMetastasis(*found[code]) for code in placed_only(found))


def _in_document(coding: Coding, places: tuple[int, ...]) -> Coding:
    """The coding with the words of its evidence marked where they stand in the document."""
    evidence = tuple(
        replace(line, matched=tuple((places[start], places[end - 1] + 1) for start, end in line.matched))
        for line in coding.evidence
    )
    return replace(coding, evidence=evidence)
